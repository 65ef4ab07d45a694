"""Our int8 networks against other people's interpreters, byte for byte.

Random networks are lowered and written by conformance_int8, then run on random, extreme and real inputs by our
reference interpreter, by TensorFlow Lite Micro and by LiteRT's reference kernels. TFLM must agree in every byte.
LiteRT may differ only where it differs from TFLM itself, in the operators that LITERT_DIFFERS names. Where TensorFlow
is installed (here, or for another Python that --tensorflow names), networks made by its converter go the same way.

    python conformance/int8.py --build build/release [--graphs 200] [--seed 1]
"""

import argparse
import gzip
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# LiteRT rounds these otherwise than TFLM: by one step, now and then.
LITERT_DIFFERS = {"FULLY_CONNECTED"}
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")


def real_images():
    """A few 28×28 images of Debian's package dataset-fashion-mnist, or None where it is not installed."""
    if not FASHION_MNIST.exists():
        return None
    data = gzip.decompress(FASHION_MNIST.read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)[:64]


def network_inputs(shape, count, rng, images):
    """Bytes of `count` inputs: random, all black, all white, a ramp, and real images sampled to the shape."""
    size = int(np.prod(shape))
    inputs = [rng.integers(0, 256, size), np.zeros(size), np.full(size, 255), np.arange(size) * 255 // max(size - 1, 1)]
    if images is not None:
        image = images[rng.integers(len(images))]
        flat = image if len(shape) < 4 else image[np.ix_(*[np.arange(n) * 28 // n for n in shape[1:3]])]
        channels = shape[-1] if len(shape) == 4 else 1
        inputs.append(np.resize(np.repeat(flat.reshape(-1), channels), size))
    while len(inputs) < count:
        inputs.append(rng.integers(0, 256, size))
    return np.stack(inputs[:count]).astype(np.uint8).reshape((count, *shape))


def prepare(data, dtype, rng):
    """What the network is given: int8, or floats of which some lie off the byte grid and out of range."""
    if dtype == np.int8:
        return (data.astype(np.int16) - 128).astype(np.int8)
    values = data.astype(np.float32) / np.float32(255)
    values[-1] = rng.uniform(-0.5, 1.5, values[-1].shape)
    return values.astype(np.float32)


class Check:
    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder
        self.passed = self.failed = self.litert_differences = self.inputs = 0
        self.operators = {}

    def ours(self, file, data, tensors):
        """Per input, a dictionary of tensor index → our value."""
        (self.folder / "inputs").write_bytes(data.tobytes())
        subprocess.run([self.driver, "run", file, self.folder / "inputs", self.folder / "outputs"], check=True)
        raw, at, results = (self.folder / "outputs").read_bytes(), 0, []
        for _ in data:
            values = {}
            for index, shape, dtype in tensors:
                count = int(np.prod(shape)) * dtype.itemsize
                values[index] = np.frombuffer(raw[at : at + count], dtype).reshape(shape)
                at += count
            results.append(values)
        assert at == len(raw), "the driver wrote another number of bytes than the file's tensors have"
        return results

    def network(self, file, count, rng, images):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        from tflite_micro.python.tflite_micro import runtime

        litert = Interpreter(str(file), experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                             experimental_preserve_all_tensors=True)
        litert.allocate_tensors()
        source, target = litert.get_input_details()[0], litert.get_output_details()[0]
        operators = litert._get_ops_details()
        activations = {int(i) for op in operators for i in op["outputs"]} | {source["index"]}
        tensors = [(t["index"], tuple(t["shape"]), np.dtype(t["dtype"]))
                   for t in sorted(litert.get_tensor_details(), key=lambda t: t["index"]) if t["index"] in activations]
        data = prepare(network_inputs(tuple(source["shape"]), count, rng, images), source["dtype"], rng)
        micro = runtime.Interpreter.from_file(str(file))
        for op in operators:
            self.operators[op["op_name"]] = self.operators.get(op["op_name"], 0) + 1

        problems, differs = [], False
        for number, (value, mine) in enumerate(zip(data, self.ours(file, data, tensors))):
            self.inputs += 1
            micro.set_input(value, 0)
            micro.invoke()
            theirs = micro.get_output(0)
            if theirs.tobytes() != mine[target["index"]].tobytes():
                problems.append(f"input {number}: TFLM {theirs.ravel()[:8]} ours {mine[target['index']].ravel()[:8]}")
            litert.set_tensor(source["index"], value)
            litert.invoke()
            for op in operators:
                index = int(op["outputs"][0])
                other = litert.get_tensor(index)
                if other.tobytes() == mine[index].tobytes():
                    continue
                differs = True
                steps = np.abs(other.astype(np.float64) - mine[index]).max()
                if op["op_name"] not in LITERT_DIFFERS or steps > 1:
                    problems.append(f"input {number}: LiteRT differs by {steps} in {op['op_name']}, tensor {index}")
                break
        self.litert_differences += differs
        self.passed, self.failed = self.passed + (not problems), self.failed + bool(problems)
        for problem in problems[:4]:
            print(f"FAILED {file.name}: {problem}")


def convert_with_tensorflow(folder):
    """Post-training int8 files of a small residual network by TensorFlow's converter."""
    import tensorflow as tf

    layers = tf.keras.layers
    image = tf.keras.Input((16, 16, 3), batch_size=1)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same")(x)])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(layers.ReLU()(x))
    x = layers.AveragePooling2D(2)(layers.ReLU(6.0)(x))
    pooled = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(8)(layers.Flatten()(layers.MaxPooling2D(2)(x)))
    model = tf.keras.Model(image, layers.Dense(5, activation="softmax")(layers.Add()([x, pooled])))
    rng = np.random.default_rng(0)
    for ends, per_channel in (("float", True), ("int8", True), ("int8", False)):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.random((1, 16, 16, 3), np.float32)] for _ in range(20))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel
        if ends == "int8":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        name = f"tensorflow_{ends}_{'channels' if per_channel else 'tensor'}.tflite"
        (folder / name).write_bytes(converter.convert())


def tensorflow_files(python, folder):
    """TensorFlow and the runtimes' packages may not fit into one environment, so it runs as a program of its own."""
    command = [python, __file__, "--convert", folder]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"TensorFlow's converter failed:\n{done.stderr[-2000:]}")
    return sorted(folder.glob("tensorflow_*.tflite"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/release"), help="the build folder")
    parser.add_argument("--driver", type=Path, help="the program conformance_int8, where it lies elsewhere")
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--inputs", type=int, default=6, help="inputs a network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", type=Path, action="append", default=[], help="also check this .tflite file")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has TensorFlow")
    parser.add_argument("--convert", type=Path, metavar="FOLDER", help="only write TensorFlow's networks there")
    options = parser.parse_args()
    if options.convert:
        convert_with_tensorflow(options.convert)
        return 0
    driver = options.driver or options.build / "conformance" / "conformance_int8"

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check = Check(driver.resolve(), folder)
        rng, images = np.random.default_rng(options.seed), real_images()
        subprocess.run([check.driver, "generate", folder, str(options.graphs), str(options.seed)], check=True)
        files = sorted(folder.glob("*.tflite")) + options.file
        python = options.tensorflow or (importlib.util.find_spec("tensorflow") and sys.executable)
        if python:
            files += tensorflow_files(python, folder)
        else:
            print("skipped: networks from TensorFlow's converter (TensorFlow is not installed)")
        for file in files:
            check.network(file, options.inputs, rng, images)
        print("operators:", ", ".join(f"{n} {op}" for op, n in sorted(check.operators.items())))
        print(f"{len(files)} networks, {check.inputs} inputs, real images {'among them' if images is not None else 'absent'}")
        print(f"LiteRT differs from TFLM and us in {check.litert_differences} networks, only in {sorted(LITERT_DIFFERS)}")
        print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
