"""Training speed in Keras: model.fit on arrays in memory, as the notebook does it.

Compiling by XLA (jit_compile), which Keras does not do on CPUs by itself, is slower on all of them. See measure.py, `--help`."""
import gc
import time

import measure
import networks

FIT = "fit"  # as the notebook calls it
STEPS = "steps"  # Keras's own remedy against Python between short steps: compile(steps_per_execution=…)
STEPS_PER_EXECUTION = 16
LONG_STEP_SECONDS = 0.02  # from there on it is no matter, and is not measured


def _build(keras, net):
    shape, classes, layers = networks.network(net)
    made = keras.layers

    def add(x, layer):
        kind, *what = layer
        if kind == "conv":
            filters, kernel, stride, bias = what
            return made.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=bias)(x)
        if kind == "depthwise":
            kernel, stride = what
            return made.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False)(x)
        if kind == "residual":
            straight = shortcut = x
            for inner in what[0]:
                straight = add(straight, inner)
            for inner in what[1]:
                shortcut = add(shortcut, inner)
            return made.Add()([shortcut, straight])
        simple = {"norm": made.BatchNormalization, "relu": made.ReLU, "pool": made.MaxPool2D,
                  "dropout": made.Dropout, "flatten": made.Flatten, "mean": made.GlobalAveragePooling2D,
                  "dense": made.Dense}
        return simple[kind](*what)(x)

    entry = x = keras.Input(shape)
    for layer in layers:
        x = add(x, layer)
    return keras.Model(entry, made.Activation("softmax", dtype="float32")(x)), shape, classes


class Trainer:
    def __init__(self, threads):
        import numpy
        import tensorflow
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        self._numpy, self._keras = numpy, tensorflow.keras

    def prepare(self, net, batch, precision, variant):
        keras, numpy = self._keras, self._numpy
        keras.backend.clear_session()
        gc.collect()
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
        self._model, shape, classes = _build(keras, net)
        images = 40960  # about the notebook's training set
        random = numpy.random.default_rng(0)
        self._x = random.random((images, *shape), dtype="float32")
        self._y = numpy.eye(classes, dtype="float32")[random.integers(0, classes, images)]
        self._batch = batch
        self._unit = batch
        self._compile(1)
        if variant == STEPS:
            if batch / self._speed > LONG_STEP_SECONDS:
                return None
            self._unit = STEPS_PER_EXECUTION * batch
            self._compile(STEPS_PER_EXECUTION)
        return self._model.count_params()

    def _compile(self, steps):
        self._model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"],
                            steps_per_execution=steps)
        self._fit(2 * self._unit)
        self._speed = self._fit(4 * self._unit)
        self._speed = self._fit(self._images_of(0.3))

    def _images_of(self, seconds):
        return max(1, round(seconds * self._speed / self._unit)) * self._unit

    def _fit(self, images):
        """Images a second of fitting so many; more than there are go in several epochs."""
        epochs = -(-images // len(self._x))
        each = images // epochs // self._batch * self._batch
        # From an epoch's begin to its end: what fit does once a call would weigh more here than in a real training.
        # Hooks of single batches would cost time, these don't.
        passed = 0.0
        begun = 0.0

        def begin(*_):
            nonlocal begun
            begun = time.perf_counter()

        def end(*_):
            nonlocal passed
            passed += time.perf_counter() - begun

        hooks = self._keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
        self._model.fit(self._x[:each], self._y[:each], batch_size=self._batch, epochs=epochs, verbose=0,
                        callbacks=[hooks])
        return epochs * each / passed

    def window(self, seconds):
        speed = self._fit(self._images_of(seconds))
        self._speed = speed  # the next window's length
        return speed


if __name__ == "__main__":
    measure.main("keras", "keras_train", ["float32", "bfloat16"], [FIT, STEPS])
