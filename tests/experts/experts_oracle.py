"""The six experts in plain PyTorch, written from the table of DESIGN.md and from nothing else: norms, boxes and GELU by
their formulas, attention in its literal form. Parameters are a dict by DESIGN.md's names."""

import math

import torch
import torch.nn.functional as F

EXPERTS = ("texture", "frequency", "edge", "contrast", "attention", "hybrid")


def widths(c):
    return [c // 4] * 3 + [c - 3 * (c // 4)]


def divisor(c):
    return max(d for d in range(1, 9) if c % d == 0)


# ---- parameters: name -> shape ----

def norm_shapes(name, c):
    return {f"{name}.{part}": (c,) for part in ("weight", "bias", "running_mean", "running_var")}


def conv_shapes(name, i, o, kernel=1, bias=True, groups=1):
    shapes = {f"{name}.weight": (o, i // groups, kernel, kernel)}
    return {**shapes, f"{name}.bias": (o,)} if bias else shapes


def cna_shapes(name, i, o, kernel=1):
    return {**conv_shapes(f"{name}.conv", i, o, kernel, bias=False), **norm_shapes(f"{name}.norm", o)}


def shapes(expert, c):
    all_shapes = {}
    if expert == "attention":
        return {**norm_shapes("norm", c), **conv_shapes("qkv", c, 3 * c), **conv_shapes("proj", c, c)}
    if expert == "hybrid":
        return {**conv_shapes("local.depthwise", c, c, 5, bias=False, groups=c), **norm_shapes("local.norm", c),
                **conv_shapes("local.pointwise", c, c), **conv_shapes("gate.reduce", c, c // 4),
                **conv_shapes("gate.expand", c // 4, c), **conv_shapes("fusion", c, c)}
    kernels = {"contrast": (3, 3, 5, 1)}.get(expert, (1, 1, 1, 1))
    for n, w in enumerate(widths(c)):
        if expert == "texture":
            all_shapes.update(conv_shapes(f"branches.{n}.reduce", c, w))
            all_shapes.update(cna_shapes(f"branches.{n}", w, w, 3))
        else:
            all_shapes.update(cna_shapes(f"branches.{n}", c, w, kernels[n]))
    return {**all_shapes, **cna_shapes("fusion", c, c)}


def random_parameters(expert, c, generator):
    """Everything away from its default, so that a parameter that is not used shows."""
    p = {}
    for name, shape in shapes(expert, c).items():
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            value = value.abs() + 0.3
        elif "norm" in name and name.endswith(".weight"):
            value = 1 + 0.3 * value
        elif len(shape) == 4:
            value = value / math.sqrt(shape[1] * shape[2] * shape[3]) * 1.5
        p[name] = value
    return p


# ---- the maths; `mode` is one of batch_train, batch_eval, group, layer ----

class Run:
    """One forward: parameters, mode, and what becomes of the running statistics."""

    def __init__(self, p, mode):
        self.p, self.mode, self.running = p, mode, {}

    def norm(self, x, name):
        p, c = self.p, x.shape[1]
        column = lambda t: t.reshape(1, -1, 1, 1)
        if self.mode == "batch_train":
            n = x.numel() // c
            mean = x.sum((0, 2, 3)) / n
            var = ((x - column(mean)) ** 2).sum((0, 2, 3)) / n
            for part, value in (("running_mean", mean), ("running_var", var * n / max(n - 1, 1))):
                key = f"{name}.{part}"
                self.running[key] = p[key] if n < 2 else 0.9 * p[key] + 0.1 * value.detach()
            if n < 2:
                return column(p[f"{name}.bias"]).expand_as(x)
            mean, var = column(mean), column(var)
        elif self.mode == "batch_eval":
            mean, var = column(p[f"{name}.running_mean"]), column(p[f"{name}.running_var"])
        elif self.mode == "group":
            g = divisor(c)
            parts = x.reshape(x.shape[0], g, c // g, *x.shape[2:])
            mean = parts.mean((2, 3, 4), keepdim=True)
            var = ((parts - mean) ** 2).mean((2, 3, 4), keepdim=True)
            x, mean, var = ((t + 0 * parts).reshape(x.shape) for t in (parts, mean, var))
        elif self.mode == "layer":
            mean = x.mean(1, keepdim=True)
            var = ((x - mean) ** 2).mean(1, keepdim=True)
        return (x - mean) / torch.sqrt(var + 1e-5) * column(p[f"{name}.weight"]) + column(p[f"{name}.bias"])

    def conv(self, x, name, dilation=1, groups=1):
        w = self.p[f"{name}.weight"]
        pad = dilation * (w.shape[-1] // 2)
        return F.conv2d(x, w, self.p.get(f"{name}.bias"), padding=pad, dilation=dilation, groups=groups)

    def cna(self, x, name, dilation=1):
        return gelu(self.norm(self.conv(x, f"{name}.conv", dilation), f"{name}.norm"))

    def branches(self, x, sources, dilations=(1, 1, 1, 1)):
        maps = [self.cna(s, f"branches.{n}", d) for n, (s, d) in enumerate(zip(sources, dilations))]
        return self.cna(torch.cat(maps, 1), "fusion") + x


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def depthwise(x, kernel):
    kernel = torch.as_tensor(kernel, dtype=x.dtype)
    size = kernel.shape[-1]
    return F.conv2d(x, kernel.expand(x.shape[1], 1, size, size), padding=size // 2, groups=x.shape[1])


def texture(run, x):
    return run.branches(x, [run.conv(x, f"branches.{n}.reduce") for n in range(4)], (1, 2, 4, 8))


def frequency(run, x):
    low = depthwise(x, torch.ones(3, 3, dtype=x.dtype) / 9)
    mid = low - depthwise(x, torch.ones(5, 5, dtype=x.dtype) / 25)
    return run.branches(x, (low, mid, x - low, x))


def edge(run, x):
    sobel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    sx, sy = depthwise(x, sobel), depthwise(x, [list(row) for row in zip(*sobel)])
    s = torch.sqrt(sx ** 2 + sy ** 2 + 1e-6)
    lap = depthwise(x, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]).abs()
    return run.branches(x, (s, lap, torch.sqrt(s ** 2 + lap ** 2 + 1e-6), x))


def contrast(run, x):
    return run.branches(x, (x, x, x, x), (1, 2, 1, 1))


def attention(run, x):
    b, c, h, w = x.shape
    heads = divisor(c)
    qkv = run.conv(run.norm(x, "norm"), "qkv")
    q, k, v = (part.reshape(b, heads, c // heads, h * w) for part in qkv.split(c, 1))
    q = q.mean(3)
    scores = (q[..., None] * k).sum(2) / math.sqrt(c / heads)
    a = torch.exp(scores - scores.amax(2, keepdim=True))
    a = a / a.sum(2, keepdim=True)
    o = (a[:, :, None] * v).sum(3).reshape(b, c, 1, 1).expand(b, c, h, w)
    return run.conv(o, "proj") + x


def hybrid(run, x):
    local = run.norm(run.conv(x, "local.depthwise", groups=x.shape[1]), "local.norm")
    local = gelu(run.conv(local, "local.pointwise"))
    mean = x.mean((2, 3), keepdim=True)
    gate = 1 / (1 + torch.exp(-run.conv(gelu(run.conv(mean, "gate.reduce")), "gate.expand")))
    return run.conv(local * gate, "fusion") + x


def forward(expert, p, x, mode):
    """-> (output, updated running statistics by name; empty unless mode is batch_train)."""
    run = Run(p, mode)
    return globals()[expert](run, x), run.running
