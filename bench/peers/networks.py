"""The networks of `retort bench train` by name, as plain descriptions that both frameworks' builders read.

A network is a list of layers, each a tuple:
  ("conv", filters, (kernel height, width), stride, bias)  same padding
  ("depthwise", 3, stride)                                 same padding, without bias
  ("norm",)  ("relu",)  ("pool",)  ("dropout", share)  ("flatten",)  ("mean",)  ("dense", units)
  ("residual", [layers], [layers of the shortcut])         their sum
All end in logits; shapes and parameter counts are those of src/graph/reference_networks.cpp.
"""
import re


def _norm_relu(layers):
    return [*layers, ("norm",), ("relu",)]


def _conv(filters, kernel=3, stride=1, bias=True):
    return ("conv", filters, (kernel, kernel), stride, bias)


def _student(blocks, layers, filters, dense, units):
    net = []
    for _ in range(blocks):
        net += [_conv(filters), ("relu",)] * layers + [("pool",)]
        filters *= 2
    return [*net, ("mean",), *[("dense", units), ("relu",)] * dense, ("dense", 10)]


def _teacher():
    net = []
    for filters, dropout in ((32, 0.2), (64, 0.3), (128, 0.4)):
        net += [_conv(filters), ("relu",), ("norm",)] * 2 + [("pool",), ("dropout", dropout)]
    net.append(("flatten",))
    for units in (512, 256, 128):
        net += [("dense", units), ("relu",)]
    return [*net, ("dropout", 0.5), ("dense", 10)]


def _separable_block(filters, stride):
    return _norm_relu([("depthwise", 3, stride)]) + _norm_relu([_conv(filters, 1, bias=False)])


def _separable(filters):
    net = _norm_relu([_conv(filters, bias=False)])
    for block in range(4):
        net += _separable_block(filters * (2 if block >= 2 else 1), 1 + block % 2)
    return [*net, ("mean",), ("dense", 10)]


def _resnet8():
    net = _norm_relu([_conv(16)])
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        straight = _norm_relu([_conv(filters, 3, stride)]) + [_conv(filters), ("norm",)]
        net += [("residual", straight, [_conv(filters, 1, stride)] if stride > 1 else []), ("relu",)]
    return [*net, ("mean",), ("dense", 10)]


def _dscnn():
    net = _norm_relu([("conv", 64, (10, 4), 2, False)])
    for _ in range(4):
        net += _separable_block(64, 1)
    return [*net, ("mean",), ("dense", 12)]


REFERENCE = ["s11_16", "s21_16", "s22_32", "s32_64", "teacher", "ds16", "ds32", "resnet8", "dscnn"]
_NOTEBOOK_NAMED = {"s11_16": (1, 1, 16, 0, 0), "s22_32": (2, 2, 32, 1, 128), "s32_64": (3, 2, 64, 2, 512)}


def student_config(name):
    """(blocks, layers, filters, dense layers, units) of "s21_16_1x64", "s32_64_0" or "s21_WIDTH"; else None."""
    if name in _NOTEBOOK_NAMED:
        return _NOTEBOOK_NAMED[name]
    found = re.fullmatch(r"s21_(\d+)", name)
    if found:
        return (2, 1, int(found[1]), 1, 64)
    found = re.fullmatch(r"s(\d)(\d)_(\d+)_(?:0|([1-9]\d*)x(\d+))", name)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def notebook():
    """The notebook's grid: 216 configurations, of which those without dense layers differ in nothing by their
    units. So 18 structures stand for 72 configurations: 54 twins, 162 different networks."""
    return [
        f"s{blocks}{layers}_{filters}_{dense}"
        for blocks in (1, 2, 3)
        for layers in (1, 2)
        for filters in (16, 32, 64)
        for dense in ("0", *(f"{count}x{units}" for count in (1, 2) for units in (64, 128, 256, 512)))
    ]


def widths():
    return [f"{family}{width}" for family in ("s21_", "ds") for width in (5, 8, 12, 16, 20, 24, 27, 32)]


GROUPS = {"reference": lambda: REFERENCE, "notebook": notebook, "widths": widths}


def network(name):
    """((height, width, channels), classes, layers) of a name. Raises ValueError for an unknown one."""
    grey = (32, 32, 1)
    config = student_config(name)
    if config:
        return grey, 10, _student(*config)
    if name == "teacher":
        return grey, 10, _teacher()
    if name == "resnet8":
        return (32, 32, 3), 10, _resnet8()
    if name == "dscnn":
        return (49, 10, 1), 12, _dscnn()
    found = re.fullmatch(r"ds(\d+)", name)
    if found:
        return grey, 10, _separable(int(found[1]))
    raise ValueError(f'there is no network "{name}"; the names are {", ".join(REFERENCE)}, students like s21_16_1x64 '
                     f"or s32_64_0, s21_WIDTH, dsWIDTH, and the groups {', '.join(GROUPS)}")
