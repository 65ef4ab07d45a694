"""Our int8 networks against other people's interpreters, byte for byte.

Random networks, and small ones that the program trains, prunes and quantises here, are run on random, extreme and real
inputs by our reference interpreter, by our evaluator (whose accuracy is what Retort reports) and by TensorFlow Lite
Micro, which must agree in every byte. Each operator is also run alone, on the values that it gets in its network: there
too TFLM must give our bytes, and LiteRT's reference kernels are compared with TFLM. LiteRT may
differ only in the operators of LITERT_STEPS, by that many steps. Where TensorFlow is installed, here
or for another Python that --tensorflow names, networks made by its converter go the same way.

    python conformance/int8.py --build build/release [--graphs 200] [--seed 1]
"""

import argparse
import collections
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
# Where LiteRT's reference kernels are not TFLM's, and by how many steps of int8 at most, as found by this script.
LITERT_STEPS = {"FULLY_CONNECTED": 1}
ROOMY = 8 << 20  # bytes of arena
CONFIGS = ("2 blocks, 1 layer, 16 filters, 1 dense, 32 units",
           "[('Conv2D', 8), ('MaxPool2D', None), ('Conv2D', 24), ('GlobalAveragePooling2D', None), ('Dense', 10)]")


def fashion_mnist(part):
    """28×28 images and their labels, from Debian's package dataset-fashion-mnist. ./dev installs it."""
    if not FASHION_MNIST.exists():
        sys.exit(f"{FASHION_MNIST} is missing: install the package dataset-fashion-mnist")
    images, labels = (gzip.decompress((FASHION_MNIST / f"{part}-{name}-ubyte.gz").read_bytes())
                      for name in ("images-idx3", "labels-idx1"))
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def network_inputs(shape, count, rng, images):
    """Bytes of `count` inputs: random, all black, all white, a ramp, and real images sampled to the shape."""
    size = int(np.prod(shape))
    inputs = [rng.integers(0, 256, size), np.zeros(size), np.full(size, 255), np.arange(size) * 255 // max(size - 1, 1)]
    for image in images[rng.integers(len(images), size=2)]:
        flat = image if len(shape) < 4 else image[np.ix_(*[np.arange(n) * 28 // n for n in shape[1:3]])]
        channels = shape[-1] if len(shape) == 4 else 1
        inputs.append(np.resize(np.repeat(flat.reshape(-1), channels), size))
    while len(inputs) < count:
        inputs.append(rng.integers(0, 256, size))
    return np.stack(inputs[:count]).astype(np.uint8).reshape((count, *shape))


def prepare(data, details):
    """What the network is given for images: the nearest values of its int8 input's grid to byte / 255, or floats."""
    values = data.astype(np.float32) / np.float32(255)
    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    steps = values / np.float32(scale)
    return np.clip(np.trunc(steps + np.copysign(np.float32(0.5), steps)) + zero_point, -128, 127).astype(np.int8)


def dequantize(values, details):
    scale, zero_point = details["quantization"]
    return (np.float64(np.float32(scale)) * (values.astype(np.int64) - zero_point)).astype(np.float32)


class Check:
    def __init__(self, driver, folder):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        from tflite_micro.python.tflite_micro import runtime

        self.driver, self.folder = driver, folder
        self.micro = lambda file: runtime.Interpreter.from_file(str(file), arena_size=ROOMY)
        self.litert = lambda file: Interpreter(str(file), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self.passed = self.failed = self.inputs = self.images = 0
        # By operator: how many, values compared, values in which LiteRT is not TFLM, and by how many steps at most.
        self.operators = collections.defaultdict(lambda: [0, 0, 0, 0])

    def drive(self, command, file, data):
        (self.folder / "inputs").write_bytes(data.tobytes())
        subprocess.run([self.driver, command, file, self.folder / "inputs", self.folder / "outputs"], check=True)
        return (self.folder / "outputs").read_bytes()

    def interpreted(self, file, data, tensors):
        """Per input, a dictionary of tensor index → our interpreter's value."""
        raw, at, results = self.drive("run", file, data), 0, []
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
        whole = self.litert(file)
        whole.allocate_tensors()
        source, target = whole.get_input_details()[0], whole.get_output_details()[0]
        operators = whole._get_ops_details()
        details = {t["index"]: t for t in whole.get_tensor_details()}
        activations = {int(i) for op in operators for i in op["outputs"]} | {source["index"]}
        tensors = [(i, tuple(details[i]["shape"]), np.dtype(details[i]["dtype"])) for i in sorted(activations)]
        pixels = network_inputs(tuple(source["shape"]), count, rng, images)
        data = prepare(pixels, source)
        if source["dtype"] == np.float32:  # one more, off the bytes' grid and out of range
            data = np.concatenate([data, rng.uniform(-0.5, 1.5, data[:1].shape).astype(np.float32)])
        values = self.interpreted(file, data, tensors)
        problems = self.compare_whole(file, pixels, data, values, operators, details, target)
        problems += self.compare_operators(file, values, operators, activations)
        self.count(file, problems)

    def compare_whole(self, file, pixels, data, values, operators, details, target):
        """TFLM's output against the interpreter's and, for inputs that are images, the evaluator's."""
        before = int(operators[-1]["inputs"][0]) if target["dtype"] == np.float32 else target["index"]
        evaluated = np.frombuffer(self.drive("evaluate", file, pixels), np.int8).reshape(len(pixels), -1)
        micro, problems = self.micro(file), []
        for number, value in enumerate(data):
            self.inputs += 1
            micro.set_input(value, 0)
            micro.invoke()
            theirs, mine = micro.get_output(0), values[number][target["index"]]
            if theirs.tobytes() != mine.tobytes():
                problems.append(f"input {number}: TFLM {theirs.ravel()[:8]} interpreter {mine.ravel()[:8]}")
            if number >= len(pixels):
                continue
            quick = evaluated[number] if target["dtype"] == np.int8 else dequantize(evaluated[number], details[before])
            if theirs.tobytes() != quick.tobytes():
                problems.append(f"input {number}: TFLM {theirs.ravel()[:8]} evaluator {quick[:8]}")
        return problems

    def compare_operators(self, file, values, operators, activations):
        """Each operator alone: TFLM must give our value, and LiteRT is compared with TFLM."""
        parts, problems = self.folder / "parts", []
        parts.mkdir(exist_ok=True)
        subprocess.run([self.driver, "split", file, parts], check=True)
        for number, op in enumerate(operators):
            part, name, output = parts / f"{number:03}.tflite", op["op_name"], int(op["outputs"][0])
            inputs = list(dict.fromkeys(int(i) for i in op["inputs"] if int(i) in activations))
            micro, litert = self.micro(part), self.litert(part)
            litert.allocate_tensors()
            sources, target = litert.get_input_details(), litert.get_output_details()[0]["index"]
            record = self.operators[name]
            record[0] += 1
            for given in values:
                for i, tensor in enumerate(inputs):
                    micro.set_input(given[tensor], i)
                    litert.set_tensor(sources[i]["index"], given[tensor])
                micro.invoke()
                litert.invoke()
                theirs, other, mine = micro.get_output(0), litert.get_tensor(target), given[output]
                if theirs.tobytes() != mine.tobytes():
                    problems.append(f"operator {number} ({name}): TFLM {theirs.ravel()[:8]} ours {mine.ravel()[:8]}")
                steps = np.abs(other.astype(np.float64) - theirs)
                record[1] += steps.size
                record[2] += int(np.count_nonzero(steps))
                record[3] = max(record[3], steps.max())
        return problems

    def trained(self, retort, file, data, images, labels):
        """A trained file's outputs and accuracy, as `retort eval` reports them, against TFLM's on all test images."""
        outputs = self.folder / "outputs.npy"
        command = [retort, "eval", file, "--data", f"npy:{data}", "--outputs", outputs, "--json", "--quiet"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        mine, report, micro, theirs = np.load(outputs), json.loads(done.stdout), self.micro(file), []
        details = self.litert(file).get_input_details()[0]
        for value in prepare(images.reshape(len(images), 1, *details["shape"][1:]), details):
            micro.set_input(value, 0)
            micro.invoke()
            theirs.append(micro.get_output(0)[0].copy())
        theirs, problems = np.stack(theirs), []
        self.images += len(images)
        if mine.dtype != theirs.dtype or mine.tobytes() != theirs.tobytes():
            problems.append(f"TFLM and eval differ for {(mine != theirs).any(1).sum()} of {len(images)} images")
        accuracy = np.mean(theirs.argmax(1) == labels)
        if report["images"] != len(images) or abs(report["accuracy"] - accuracy) > 1e-9:
            problems.append(f"eval reports {report}, TFLM's accuracy is {accuracy}")
        if accuracy < 0.5:
            problems.append(f"an accuracy of {accuracy} tells nothing")
        print(f"{file.relative_to(self.folder)}: {report['accuracy']:.4f} of {len(images)} images, TFLM {accuracy:.4f}")
        self.count(file, problems)

    def count(self, file, problems):
        self.passed, self.failed = self.passed + (not problems), self.failed + bool(problems)
        for problem in problems[:4]:
            print(f"FAILED {file.name}: {problem}")

    def litert_differences(self):
        """Prints where LiteRT is not TFLM; gives the operators where it may not differ, or not by so much."""
        for name, (count, values, different, steps) in sorted(self.operators.items()):
            says = f"LiteRT differs from TFLM in {different}, by {steps:g}" if different else "LiteRT equals TFLM"
            print(f"  {name}: {count} operators, {values} values, {says}")
        return [name for name, (_, _, _, steps) in self.operators.items() if steps > LITERT_STEPS.get(name, 0)]


def train(retort, folder, rng):
    """Files of small students, trained, pruned and quantised by the program; and the data's folder and test images."""
    data = folder / "data"
    data.mkdir()
    parts = {}
    for name, source, count in (("train", "train", 4000), ("test", "t10k", 2500)):
        images, labels = fashion_mnist(source)
        chosen = rng.permutation(len(images))[:count]
        parts[name] = images[chosen], labels[chosen]
        np.save(data / f"x_{name}.npy", images[chosen][..., None])
        np.save(data / f"y_{name}.npy", labels[chosen].astype(np.int64))
    files = []
    for number, config in enumerate(CONFIGS):
        def step(command, *arguments):
            subprocess.run([retort, command, *arguments, "--data", f"npy:{data}", "--quiet", "--threads", "1"],
                           check=True, stdout=subprocess.DEVNULL)
        at = folder / f"student{number}"
        weights, fast = "weights.retort", ("--learning-rate", "0.005")
        step("distill", "--config", config, "--teacher", "none", "--epochs", "10", *fast, "--out", at)
        step("prune", at / weights, "--epochs", "4", "--update-every", "20", *fast, "--out", at / "pruned")
        for ends in ("int8", "float"):
            step("quantize", at / "pruned" / weights, "--epochs", "2", "--ends", ends, "--out", at / ends)
            files.append(at / ends / "model.tflite")
    return files, data, *parts["test"]


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
        rng, (images, _) = np.random.default_rng(options.seed), fashion_mnist("t10k")
        subprocess.run([check.driver, "generate", folder, str(options.graphs), str(options.seed)], check=True)
        files = sorted(folder.glob("*.tflite")) + options.file
        python = options.tensorflow or (importlib.util.find_spec("tensorflow") and sys.executable)
        if python:
            files += tensorflow_files(python, folder)
        else:
            print("skipped: networks from TensorFlow's converter (TensorFlow is not installed)")
        retort = (options.build / "src" / "cli" / "retort").resolve()
        trained, data, test_images, test_labels = train(retort, folder, rng)
        files += trained
        for file in files:
            check.network(file, options.inputs, rng, images)
        for file in trained:
            check.trained(retort, file, data, test_images, test_labels)
        print(f"{len(files)} networks, {check.inputs} inputs and {check.images} test images")
        unexpected = check.litert_differences()
        print(f"{check.passed} passed, {check.failed} failed")
    if unexpected:
        print(f"FAILED: LiteRT differs from TFLM in {', '.join(sorted(unexpected))} otherwise than LITERT_STEPS says")
    return 1 if check.failed or unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
