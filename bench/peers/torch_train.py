"""Training speed in PyTorch, in the better of its two layouts of memory. See measure.py, `--help`."""
import contextlib
import time

import measure
import networks

EAGER = "eager"
COMPILED = "compiled"  # torch.compile; needs a C++ compiler and a minute a network


def _build(torch, net):
    nn = torch.nn
    shape, classes, layers = networks.network(net)

    class Residual(nn.Module):
        def __init__(self, straight, shortcut):
            super().__init__()
            self.straight, self.shortcut = straight, shortcut

        def forward(self, x):
            return self.shortcut(x) + self.straight(x)

    def sequence(layers, shape):
        """The modules, and (height, width, channels), or (values,) once flat."""
        made = []
        for kind, *what in layers:
            channels = shape[-1]
            if kind in ("conv", "depthwise"):
                if kind == "conv":
                    filters, kernel, stride, bias = what
                    groups = 1
                else:
                    filters, kernel, stride, bias = channels, (what[0], what[0]), what[1], False
                    groups = channels
                # The same output as "same" padding, whose border torch has no strided layer for. Equal on both
                # sides, so that no layer of its own has to pad.
                out = tuple(-(-size // stride) for size in shape[:2])
                padding = tuple(max(0, -(-((o - 1) * stride + k - size) // 2))
                                for size, o, k in zip(shape[:2], out, kernel))
                made.append(nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups, bias=bias))
                shape = (*out, filters)
            elif kind == "norm":
                made.append(nn.BatchNorm2d(channels))
            elif kind == "relu":
                made.append(nn.ReLU(inplace=True))
            elif kind == "pool":
                made.append(nn.MaxPool2d(2))
                shape = (shape[0] // 2, shape[1] // 2, channels)
            elif kind == "dropout":
                made.append(nn.Dropout(what[0]))
            elif kind == "mean":
                made += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
                shape = (channels,)
            elif kind == "flatten":
                made.append(nn.Flatten())
                shape = (shape[0] * shape[1] * channels,)
            elif kind == "dense":
                made.append(nn.Linear(channels, what[0]))
                shape = (what[0],)
            elif kind == "residual":
                straight, after = sequence(what[0], shape)
                made.append(Residual(straight, sequence(what[1], shape)[0]))
                shape = after
        return nn.Sequential(*made), shape

    return sequence(layers, shape)[0], shape, classes


class Trainer:
    def __init__(self, threads):
        import torch
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self._torch = torch

    def prepare(self, net, batch, precision, variant):
        torch = self._torch
        self._variant = variant
        tries = []
        for layout in (torch.contiguous_format, torch.channels_last):
            self._step = self._make_step(net, batch, precision, layout)
            for _ in range(3):
                self._step()
            tries.append((self.window(0.3), self._step))
        self._step = max(tries, key=lambda each: each[0])[1]
        return self._parameters

    def _make_step(self, net, batch, precision, layout):
        torch = self._torch
        torch.manual_seed(0)
        model, (height, width, channels), classes = _build(torch, net)
        model = model.to(memory_format=layout).train()
        # Running averages too, as Retort and Keras count; not batch norm's counter of batches.
        self._parameters = sum(tensor.numel() for name, tensor in model.state_dict().items()
                               if not name.endswith("num_batches_tracked"))
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        if self._variant == COMPILED:
            model = torch.compile(model)
        # Batches that lie ready: whatever a data loader costs is left out.
        batches = [(torch.rand(batch, channels, height, width).to(memory_format=layout),
                    torch.randint(0, classes, (batch,))) for _ in range(16)]
        loss_of = torch.nn.functional.cross_entropy
        turn = 0
        self._batch = batch

        def cast():
            return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()

        def step():
            nonlocal turn
            images, labels = batches[turn]
            turn = (turn + 1) % len(batches)
            optimizer.zero_grad()
            with cast():
                loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()

        return step

    def window(self, seconds):
        steps = 0
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            self._step()
            steps += 1
        return steps * self._batch / passed


if __name__ == "__main__":
    measure.main("pytorch", "torch_train", ["float32", "bfloat16"], [EAGER, COMPILED])
