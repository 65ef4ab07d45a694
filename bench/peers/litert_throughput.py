#!/usr/bin/env python3
"""Images a second of int8 .tflite files under LiteRT (XNNPACK, its default) on one thread.

    retort bench int8 --write nets --json && bench/peers/litert_throughput.py nets/*.tflite

Prints a JSON line a file and batch size; the best batch is what a reader compares with. Wants ai-edge-litert,
which conformance/requirements.txt pins.
"""
import argparse
import json
import pathlib
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def images_per_second(path, batch, seconds, resolver):
    interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=resolver)
    entry = interpreter.get_input_details()[0]
    if batch != 1:
        interpreter.resize_tensor_input(entry["index"], [batch, *entry["shape"][1:]])
    interpreter.allocate_tensors()
    generator = np.random.default_rng(1)
    if entry["dtype"] == np.float32:
        images = generator.random(tuple(interpreter.get_input_details()[0]["shape"]), dtype=np.float32)
    else:
        images = generator.integers(-128, 128, tuple(interpreter.get_input_details()[0]["shape"])).astype(np.int8)
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    # The best of many short stretches: other programs disturb most of them on a busy machine, but not all.
    best = 0.0
    runs = 1
    begin = start = time.perf_counter()
    while start - begin < seconds:
        for _ in range(runs):
            interpreter.invoke()
        end = time.perf_counter()
        best = max(best, runs * batch / (end - start))
        if end - start < 2e-3:
            runs *= 2
        start = end
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--batches", default="1,8,32,64", help="batch sizes to try (default 1,8,32,64)")
    parser.add_argument("--seconds", type=float, default=1, help="time for each file and batch (default 1)")
    parser.add_argument("--reference", action="store_true", help="LiteRT's reference kernels instead")
    arguments = parser.parse_args()
    resolver = OpResolverType.BUILTIN_REF if arguments.reference else OpResolverType.AUTO
    for path in arguments.files:
        for batch in map(int, arguments.batches.split(",")):
            line = {"framework": "litert-reference" if arguments.reference else "litert", "net": path.stem,
                    "batch": batch, "threads": 1}
            try:
                line["images_per_second"] = images_per_second(path, batch, arguments.seconds, resolver)
            except (RuntimeError, ValueError) as error:  # a RESHAPE may hold the batch of 1
                line["error"] = str(error).splitlines()[0]
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
