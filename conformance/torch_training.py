"""Our training against PyTorch's: gradients of every operator and loss, and whole training steps.

conformance_torch_training writes graphs, weights, batches and what our backends made of them; this script computes
the same in PyTorch, with SAME padding made explicit. Compared are

    gradients   loss and every gradient of one step
    quantised   the same through rounded kernels and activations (fake_quantize_*)
    steps       the losses of ten optimiser steps of the notebook's students and teacher, to 1e-4 relative

PyTorch computes in double precision where it can, so that a difference is ours.

Batch norm is in training mode, nothing is dropped, and Adam's epsilon stands where PyTorch puts it.

    python conformance/torch_training.py --build build/release
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

# Of a tensor's norm (which counts at least 1% of all gradients'), by kind and backend.
GRADIENT_TOLERANCE = {
    ("gradients", "reference"): 2e-6,
    ("gradients", "cpu"): 2e-4,
    ("quantised", "reference"): 2e-2,
    ("quantised", "cpu"): 2e-2,
    ("steps", "reference"): 1e-3,
    ("steps", "cpu"): 1e-3,
}
LOSS_TOLERANCE = {"gradients": 1e-5, "quantised": 1e-3, "steps": 1e-4}


def same_padding(size, kernel, stride):
    """Cells before and after: TensorFlow puts the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad(x, node, value=0.0):
    if node["padding"] == "valid":
        return x
    top, bottom = same_padding(x.shape[2], node["kernel"][0], node["strides"][0])
    left, right = same_padding(x.shape[3], node["kernel"][1], node["strides"][1])
    return F.pad(x, (left, right, top, bottom), value=value)


def average_pool(x, node):
    kernel, strides = node["kernel"], node["strides"]
    sums = F.avg_pool2d(pad(x, node), kernel, strides, divisor_override=1)
    cells = F.avg_pool2d(pad(torch.ones_like(x[:1, :1]), node), kernel, strides, divisor_override=1)
    return sums / cells


def batch_norm(x, node, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=node["epsilon"])


def rounded_kernel(kernel, node, axis):
    if node.get("grid", "float") != "int8":
        return kernel
    other = [d for d in range(kernel.dim()) if d != axis]
    scale = kernel.detach().abs().amax(dim=other) / 127
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.fake_quantize_per_channel_affine(kernel, scale, torch.zeros_like(scale, dtype=torch.int32), axis, -127, 127)


def fake_quantize(x, range_):
    """The range as it is before a first batch: the batch's own, unless it is set (the input's)."""
    low, high = range_.tolist()
    if low == 0 and high == 0:
        low, high = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
    scale = (high - low) / 255
    if scale == 0:
        return x
    zero_point = int(np.clip(np.round(-128 - low / scale), -128, 127))
    return torch.fake_quantize_per_tensor_affine(x, float(np.float32(scale)), zero_point, -128, 127)


class Network:
    """A graph in PyTorch, channels first."""

    def __init__(self, case, folder, dtype):
        self.case, self.dtype = case, dtype
        flat = np.fromfile(folder / case["parameters"], np.float32)
        self.parameters, self.roles, offset = {}, {}, 0
        for spec in case["specs"]:
            size = int(np.prod(spec["dims"]))
            values = torch.tensor(flat[offset : offset + size].reshape(spec["dims"]), dtype=dtype)
            offset += size
            learned = spec["role"] in ("kernel", "bias", "gamma", "beta")
            self.parameters[spec["node"], spec["role"]] = values.requires_grad_(learned)

    def learned(self, *roles):
        return [p for (_, role), p in self.parameters.items() if p.requires_grad and role in roles]

    def logits(self, images):
        values = []
        for i, node in enumerate(self.case["graph"]["nodes"][: self.case["logits"] + 1]):
            inputs = [values[j] for j in node.get("inputs", [])]
            values.append(self.node(i, node, inputs, images))
        return values[-1].reshape(len(images), -1)

    def node(self, i, node, inputs, images):
        get = lambda role: self.parameters.get((i, role))
        op, x = node["op"], inputs[0] if inputs else None
        if op == "input":
            return images
        if op == "conv":
            kernel = rounded_kernel(get("kernel"), node, 0).permute(0, 3, 1, 2)
            return F.conv2d(pad(x, node), kernel, get("bias"), node["strides"])
        if op == "depthwise_conv":
            kernel = rounded_kernel(get("kernel"), node, 3).permute(3, 0, 1, 2)
            return F.conv2d(pad(x, node), kernel, get("bias"), node["strides"], groups=x.shape[1])
        if op == "dense":
            return F.linear(x.reshape(len(x), -1), rounded_kernel(get("kernel"), node, 0), get("bias"))
        if op == "batch_norm":
            return batch_norm(x, node, get("gamma"), get("beta"))
        if op == "relu":
            return F.relu(x)
        if op == "relu6":
            return F.relu6(x)
        if op == "max_pool":
            return F.max_pool2d(pad(x, node, -torch.inf), node["kernel"], node["strides"])
        if op == "avg_pool":
            return average_pool(x, node)
        if op == "global_avg_pool":
            return x.mean(dim=(2, 3))
        if op == "add":
            return inputs[0] + inputs[1]
        if op == "flatten":
            return x.permute(0, 2, 3, 1).reshape(len(x), -1) if x.dim() == 4 else x
        if op == "dropout":
            assert node["rate"] == 0
            return x
        if op == "fake_quant":
            return fake_quantize(x, get("range"))
        raise ValueError(f"operator {op} is unknown here")


def objective(case, z, labels, teacher):
    alpha, t = case["alpha"], case["temperature"]
    loss = alpha * F.cross_entropy(z, labels, label_smoothing=case["label_smoothing"])
    if alpha < 1:
        divergence = F.kl_div(F.log_softmax(z / t, 1), F.softmax(teacher / t, 1), reduction="batchmean")
        loss = loss + (1 - alpha) * t * t * divergence
    return loss


def optimizer_for(case, network):
    groups = [
        {"params": network.learned("kernel"), "weight_decay": case["weight_decay"]},
        {"params": network.learned("bias", "gamma", "beta"), "weight_decay": 0.0},
    ]
    if case["optimizer"] == "adam":
        return torch.optim.AdamW(groups, lr=case["rate"], eps=case["epsilon"])
    # PyTorch's SGD has no decoupled decay, so it is done by hand before each step.
    for group in groups:
        group["decay"] = group.pop("weight_decay")
    return torch.optim.SGD(groups, lr=case["rate"], momentum=case["momentum"], nesterov=True)


def decay(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("decay") else []:
            parameter.data.mul_(1 - group["lr"] * group["decay"])


def in_torch(case, folder):
    """Losses of every step and the first gradients, by (node, role)."""
    dtype = torch.float32 if case["kind"] == "quantised" else torch.float64  # fake_quantize_* want float32
    network = Network(case, folder, dtype)
    shape = case["graph"]["nodes"][0]["shape"]
    shape = shape if len(shape) == 3 else [1, 1, shape[0]]
    images = np.fromfile(folder / case["images"], np.uint8).reshape(-1, *shape).transpose(0, 3, 1, 2)
    images = torch.tensor(images, dtype=dtype) / 255
    labels = torch.tensor(np.fromfile(folder / case["labels"], np.uint16).astype(np.int64))
    teacher = torch.tensor(np.fromfile(folder / case["teacher"], np.float32), dtype=dtype).reshape(-1, case["classes"])
    if len(case["graph"]["nodes"][0]["shape"]) == 1:
        images = images.reshape(len(images), -1)
    optimizer = optimizer_for(case, network)
    losses, gradients = [], {}
    for step in range(case["steps"]):
        batch = slice(step * case["batch"], (step + 1) * case["batch"])
        optimizer.zero_grad()
        loss = objective(case, network.logits(images[batch]), labels[batch], teacher[batch])
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = {
                key: (torch.zeros_like(p) if p.grad is None else p.grad.clone()).numpy().astype(np.float64)
                for key, p in network.parameters.items()
            }
        decay(optimizer)
        optimizer.step()
    return losses, gradients


def differences(case, backend, losses, gradients, folder):
    """Sentences on what differs, and the largest relative differences of loss and gradient."""
    result, found = case["results"][backend], []
    worst_loss = max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(result["losses"], losses))
    if not worst_loss <= LOSS_TOLERANCE[case["kind"]]:
        found.append(f"losses {result['losses']}, PyTorch {losses}")
    ours, offset, worst = np.fromfile(folder / result["gradients"], np.float32).astype(np.float64), 0, 0.0
    everything = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    for spec in case["specs"]:
        expected = gradients[spec["node"], spec["role"]].reshape(-1)
        actual, offset = ours[offset : offset + expected.size], offset + expected.size
        error = np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 0.01 * everything, 1e-12)
        worst = max(worst, error)
        if not error <= GRADIENT_TOLERANCE[case["kind"], backend]:
            found.append(f"gradient of node {spec['node']}'s {spec['role']}: off by {error:.1e} of its norm")
    return found, worst_loss, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/release"), help="the build folder")
    parser.add_argument("--driver", type=Path, help="the program, where it lies elsewhere")
    options = parser.parse_args()
    driver = options.driver or options.build / "conformance" / "conformance_torch_training"
    torch.set_num_threads(1)

    passed = failed = 0
    worst = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([driver, folder], check=True)
        for case in json.loads((folder / "cases.json").read_text()):
            losses, gradients = in_torch(case, folder)
            for backend in case["results"]:
                found, loss, gradient = differences(case, backend, losses, gradients, folder)
                key = case["kind"], backend
                count, most_loss, most_gradient = worst.get(key, (0, 0.0, 0.0))
                worst[key] = count + 1, max(most_loss, loss), max(most_gradient, gradient)
                if case["kind"] == "steps":
                    print(f"{case['name']}, rate {case['rate']:g}, on {backend}: losses {losses[0]:.4f} … {losses[-1]:.4f}, equal to {loss:.1e}")
                for sentence in found:
                    print(f"FAILED {case['name']} on {backend}: {sentence}")
                passed, failed = passed + (not found), failed + bool(found)
    for (kind, backend), (count, loss, gradient) in sorted(worst.items()):
        print(f"{kind} on {backend}: {count} cases, largest relative difference of a loss {loss:.1e}, of a gradient {gradient:.1e}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
