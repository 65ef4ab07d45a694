"""Our training against PyTorch's: gradients of every operator and loss, and whole training steps.

conformance_torch_training writes graphs, weights, batches and what our backends made of them; this script computes
the same in PyTorch, with SAME padding made explicit. Compared are

    gradients   loss and every gradient of one step
    quantised   the same through rounded kernels and activations (fake_quantize_*), after the ranges moved by four batches
    steps       the losses of ten Adam steps at Keras's rate of the notebook's smaller students, to 1e-4 relative, and
                SGD's; of the teacher at a hundredth of that rate
    forced      of the largest student and the teacher at Keras's rate, where ten steps are chaotic: each step's loss,
                to 1e-4, and updated parameters, to 1e-3 of a tensor's norm, from PyTorch's weights, batch-norm state
                and moments before that step. By how much PyTorch's own losses in single and double precision part
                when both run on freely is printed as the reason.

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

# Of a tensor's norm (which counts at least 1% of all gradients'), by kind and backend. Rounding differs with the
# processor: of single precision 1.0e-4 to 1.5e-4 was seen where a batch norm's sums cancel.
GRADIENT_TOLERANCE = {
    ("gradients", "reference"): 2e-6,
    ("gradients", "cpu"): 5e-4,
    ("quantised", "reference"): 2e-2,
    ("quantised", "cpu"): 2e-2,
    ("steps", "reference"): 1e-3,
    ("steps", "cpu"): 1e-3,
}
LOSS_TOLERANCE = {"gradients": 1e-5, "quantised": 1e-3, "steps": 1e-4, "forced": 1e-4}
STATE_TOLERANCE = 1e-3  # of ranges after several batches, and of parameters after a forced step


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


def batch_norm(x, node, gamma, beta, mean, variance):
    """Moves the running numbers too; PyTorch's own would move to the unbiased variance."""
    over = [d for d in range(x.dim()) if d != 1]
    for running, batch in (mean, x.mean(dim=over)), (variance, x.var(dim=over, unbiased=False)):
        running.mul_(node["momentum"]).add_(batch.detach(), alpha=1 - node["momentum"])
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=node["epsilon"])


def rounded_kernel(kernel, node, axis):
    if node.get("grid", "float") != "int8":
        return kernel
    other = [d for d in range(kernel.dim()) if d != axis]
    scale = kernel.detach().abs().amax(dim=other) / 127
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.fake_quantize_per_channel_affine(kernel, scale, torch.zeros_like(scale, dtype=torch.int32), axis, -127, 127)


def fake_quantize(x, node, range_):
    """The range follows the batches, the first of which sets it. The network's input keeps its own."""
    is_set = range_.any().item()
    if not is_set or node["inputs"] != [0]:
        momentum = node["momentum"] if is_set else 0.0
        batch = torch.tensor([min(x.min().item(), 0.0), max(x.max().item(), 0.0)], dtype=range_.dtype)
        range_.mul_(momentum).add_(batch, alpha=1 - momentum)
    low, high = range_.tolist()
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
            return batch_norm(x, node, get("gamma"), get("beta"), get("mean"), get("variance"))
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
            return fake_quantize(x, node, get("range"))
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


class Training:
    """A case's steps in PyTorch."""

    def __init__(self, case, folder, dtype):
        self.case, self.network = case, Network(case, folder, dtype)
        self.optimizer = optimizer_for(case, self.network)
        shape = case["graph"]["nodes"][0]["shape"]
        images = np.fromfile(folder / case["images"], np.uint8)
        images = images.reshape(-1, *shape).transpose(0, 3, 1, 2) if len(shape) == 3 else images.reshape(-1, *shape)
        self.images = torch.tensor(images, dtype=dtype) / 255
        self.labels = torch.tensor(np.fromfile(folder / case["labels"], np.uint16).astype(np.int64))
        teacher = np.fromfile(folder / case["teacher"], np.float32).reshape(-1, case["classes"])
        self.teacher = torch.tensor(teacher, dtype=dtype)

    def step(self, number):
        """Returns the loss; gradients stay until the next step."""
        batch = slice(number * self.case["batch"], (number + 1) * self.case["batch"])
        self.optimizer.zero_grad()
        logits = self.network.logits(self.images[batch])
        loss = objective(self.case, logits, self.labels[batch], self.teacher[batch])
        loss.backward()
        decay(self.optimizer)
        self.optimizer.step()
        return loss.item()

    def gradients(self):
        return {
            key: (torch.zeros_like(p) if p.grad is None else p.grad).numpy().astype(np.float64)
            for key, p in self.network.parameters.items()
        }

    def values(self):
        return {key: p.detach().numpy().astype(np.float64) for key, p in self.network.parameters.items()}

    def moment(self, name):
        states = ((p, self.optimizer.state.get(p, {})) for p in self.network.parameters.values())
        return [state.get(name, torch.zeros_like(p)) for p, state in states]

    def is_driven(self):
        """Where gradients so far are more than rounding: Adam divides by their size, so elsewhere it follows noise."""
        everything = np.sqrt(sum((g**2).sum() for g in self.gradients().values()))
        sizes = (v.sqrt().numpy() for v in self.moment("exp_avg_sq"))
        return {
            key: np.full(p.shape, True) if not p.requires_grad else size > 1e-9 * everything
            for (key, p), size in zip(self.network.parameters.items(), sizes)
        }

    def save_state(self, path):
        """Rounds everything to single precision first, so that both go on from the same numbers."""
        tensors = [p.detach() for p in self.network.parameters.values()] + self.moment("exp_avg") + self.moment("exp_avg_sq")
        for tensor in tensors:
            tensor.copy_(tensor.float())
        np.concatenate([t.numpy().astype(np.float32).reshape(-1) for t in tensors]).tofile(path)


def in_torch(case, folder):
    """Losses of every step, the gradients that the driver kept, and the parameters at the end, by (node, role)."""
    dtype = torch.float32 if case["kind"] == "quantised" else torch.float64  # fake_quantize_* want float32
    training = Training(case, folder, dtype)
    kept = case["steps"] - 1 if case["kind"] == "quantised" else 0
    losses, gradients = [], {}
    for step in range(case["steps"]):
        losses.append(training.step(step))
        if step == kept:
            gradients = training.gradients()
    return losses, gradients, training.values()


def tensor_errors(case, path, expected, floor, counts=None):
    """Yields each tensor's spec and its difference in its norm, which counts at least `floor` of all tensors'. A tensor that
    is zero but for the rounding of double precision (the gradient of a bias before a batch norm) need only be small beside
    all. Where `counts` is false, entries are left out."""
    ours, offset = np.fromfile(path, np.float32).astype(np.float64), 0
    everything = np.sqrt(sum((values**2).sum() for values in expected.values()))
    for spec in case["specs"]:
        key = spec["node"], spec["role"]
        values = expected[key].reshape(-1)
        difference, offset = ours[offset : offset + values.size] - values, offset + values.size
        if counts is not None:
            difference = difference * counts[key].reshape(-1)
        norm = np.linalg.norm(values)
        least = everything if floor > 0 and norm < 1e-9 * everything else floor * everything
        yield spec, np.linalg.norm(difference) / max(norm, least, 1e-12)


def relative(losses, expected):
    return max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(losses, expected))


def differences(case, backend, losses, gradients, after, folder):
    """Sentences on what differs, and the largest relative differences of loss and gradient."""
    result, found, worst = case["results"][backend], [], 0.0
    worst_loss = relative(result["losses"], losses)
    if not worst_loss <= LOSS_TOLERANCE[case["kind"]]:
        found.append(f"losses {result['losses']}, PyTorch {losses}")
    for spec, error in tensor_errors(case, folder / result["gradients"], gradients, 0.01):
        worst = max(worst, error)
        if not error <= GRADIENT_TOLERANCE[case["kind"], backend]:
            found.append(f"gradient of node {spec['node']}'s {spec['role']}: off by {error:.1e} of its norm")
    for spec, error in tensor_errors(case, folder / result["after"], after, 0):
        if spec["role"] == "range" and not error <= STATE_TOLERANCE:
            found.append(f"range of node {spec['node']}: off by {error:.1e} of its norm")
    return found, worst_loss, worst


def run_forced(cases, driver, folder):
    """Yields (case, backend, sentences on what differs, largest differences of loss and updated parameters)."""
    expected = []
    for case in cases:
        training, losses, after = Training(case, folder, torch.float64), [], []  # after: values, and where they count
        for step in range(case["steps"]):
            training.save_state(folder / f"{case['parameters'].split('.')[0]}.state.{step}")
            losses.append(training.step(step))
            after.append((training.values(), training.is_driven()))
        free = [[t.step(step) for step in range(case["steps"])] for t in (Training(case, folder, d) for d in (torch.float32, torch.float64))]
        expected.append((losses, after, relative(*free)))
    subprocess.run([driver, folder, "forced"], check=True)
    for case, (losses, after, parting), results in zip(cases, expected, json.loads((folder / "forced.json").read_text())):
        for backend, result in results.items():
            found, worst, worst_loss = [], 0.0, relative(result["losses"], losses)
            if not worst_loss <= LOSS_TOLERANCE["forced"]:
                found.append(f"losses {result['losses']}, PyTorch {losses}")
            for step, path in enumerate(result["after"]):
                for spec, error in tensor_errors(case, folder / path, after[step][0], 0.01, after[step][1]):
                    worst = max(worst, error)
                    if not error <= STATE_TOLERANCE:
                        found.append(f"node {spec['node']}'s {spec['role']} after step {step + 1}: off by {error:.1e} of its norm")
            print(f"{case['name']}, rate {case['rate']:g}, on {backend}, each step from PyTorch's state: losses {losses[0]:.4f} … "
                  f"{losses[-1]:.4f}, equal to {worst_loss:.1e}, updated parameters to {worst:.1e} "
                  f"(running freely, PyTorch in single precision leaves itself in double by {parting:.1e})")
            yield case, backend, found, worst_loss, worst


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
        cases = json.loads((folder / "cases.json").read_text())

        def take(case, backend, found, loss, tensor):
            nonlocal passed, failed
            key = case["kind"], backend
            count, most_loss, most_tensor = worst.get(key, (0, 0.0, 0.0))
            worst[key] = count + 1, max(most_loss, loss), max(most_tensor, tensor)
            for sentence in found:
                print(f"FAILED {case['name']} on {backend}: {sentence}")
            passed, failed = passed + (not found), failed + bool(found)

        for case in cases:
            if case["kind"] == "forced":
                continue
            losses, gradients, after = in_torch(case, folder)
            for backend in case["results"]:
                found, loss, gradient = differences(case, backend, losses, gradients, after, folder)
                if case["kind"] == "steps":
                    print(f"{case['name']}, rate {case['rate']:g}, on {backend}: losses {losses[0]:.4f} … {losses[-1]:.4f}, equal to {loss:.1e}")
                take(case, backend, found, loss, gradient)
        for result in run_forced([case for case in cases if case["kind"] == "forced"], driver, folder):
            take(*result)
    for (kind, backend), (count, loss, gradient) in sorted(worst.items()):
        print(f"{kind} on {backend}: {count} cases, largest relative difference of a loss {loss:.1e}, of {'parameters' if kind == 'forced' else 'a gradient'} {gradient:.1e}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
