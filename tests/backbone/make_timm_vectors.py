#!/usr/bin/env python3
"""Writes timm's features and gradients in float64, one file a family of backbones, for the tests beside it.

    pip install timm==1.0.31 safetensors && python3 tests/backbone/make_timm_vectors.py [FILE…]

Without names, all of FILES. Weights and images come from a formula that fill.h repeats, so the file holds results alone.
"""

import math
import pathlib
import re
import sys

import numpy as np
import timm
import torch
from safetensors.torch import save_file

# (model, mode, batch, height, width): the same lists as in
# {efficientnet_lite,resnet,pvt_v2,edgenext,convnext,swin}_test.cpp.
FILES = {
    "timm_vectors.safetensors": [
        ("tf_efficientnet_lite0", "eval", 2, 64, 48),
        ("tf_efficientnet_lite0", "eval", 1, 61, 45),
        ("tf_efficientnet_lite1", "eval", 1, 33, 47),
        ("tf_efficientnet_lite2", "eval", 1, 33, 47),
        ("tf_efficientnet_lite3", "eval", 1, 33, 47),
        ("tf_efficientnet_lite4", "eval", 1, 33, 47),
        ("tf_efficientnet_lite0", "train", 2, 64, 48),
        ("tf_efficientnet_lite0", "train", 2, 45, 61),
    ],
    "resnet_vectors.safetensors": [
        ("resnet18", "eval", 2, 64, 48),
        ("resnet34", "eval", 1, 33, 47),
        ("resnet50", "eval", 1, 33, 47),
        ("res2net50_26w_4s", "eval", 1, 33, 47),
        ("resnet18", "train", 2, 61, 45),
        ("resnet50", "train", 2, 64, 48),
        ("res2net50_26w_4s", "train", 2, 45, 61),
    ],
    "pvt_v2_vectors.safetensors": [
        ("pvt_v2_b0", "eval", 2, 64, 48),
        ("pvt_v2_b0", "eval", 1, 61, 45),
        ("pvt_v2_b2_li", "eval", 1, 33, 47),
        ("pvt_v2_b5", "eval", 1, 33, 47),
        ("pvt_v2_b0", "train", 2, 64, 48),
        ("pvt_v2_b0", "train", 2, 45, 61),
        ("pvt_v2_b2_li", "train", 1, 61, 45),
    ],
    "edgenext_vectors.safetensors": [
        ("edgenext_xx_small", "eval", 2, 64, 96),
        ("edgenext_xx_small", "eval", 1, 77, 45),
        ("edgenext_x_small", "eval", 1, 33, 47),
        ("edgenext_small", "eval", 1, 33, 47),
        ("edgenext_base", "eval", 1, 33, 47),
        ("edgenext_xx_small", "train", 2, 64, 96),
        ("edgenext_xx_small", "train", 2, 77, 45),
    ],
    "convnext_vectors.safetensors": [
        ("convnext_tiny", "eval", 2, 64, 96),
        ("convnext_tiny", "eval", 1, 77, 45),
        ("convnext_tiny", "train", 2, 77, 45),
    ],
    "swin_vectors.safetensors": [
        ("swin_tiny_patch4_window7_224", "eval", 1, 234, 77),
        ("swin_tiny_patch4_window7_224", "train", 2, 77, 45),
        ("swin_tiny_patch4_window7_224", "train", 1, 45, 234),
    ],
}
MAX_SAMPLES = 256


def uniform(key, count):
    """`count` numbers in [-1, 1): SplitMix64 over the FNV-1a hash of `key`."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def fill(key, tensor):
    """Values for one tensor of a state dict; activations keep their scale from layer to layer."""
    u = uniform(key, tensor.numel())
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if tensor.dim() > 1:
        u = u * math.sqrt(6.0 / tensor[0].numel())
    elif key.endswith("running_var"):
        u = u * 0.5 + 1.0
    elif key.endswith(".weight"):
        u = u * 0.25 + 1.0
    else:
        u = u * 0.25
    return torch.from_numpy(u).view(tensor.shape).to(torch.float32)


def uniform_tensor(key, shape):
    return torch.from_numpy(uniform(key, math.prod(shape))).view(shape).float().double()


def sample(tensor):
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, -(-flat.numel() // MAX_SAMPLES))].clone()


def sums(tensors):
    """[tensors, 2]: sum, and sum of magnitudes, of each; in the order of the names."""
    ordered = [tensors[name].double() for name in sorted(tensors)]
    return torch.stack([torch.stack([tensor.sum(), tensor.abs().sum()]) for tensor in ordered])


def weight_key(key):
    """The key in weights files: features_only has stages_0 where the whole model has stages.0, and so on."""
    return re.sub(r"^(stages|stem|layers)_", r"\1.", key)


def create(name, height, width):
    """Swin's windows depend on the image size, and its stochastic depth, on by default, is left out."""
    swin = dict(img_size=(height, width), drop_path_rate=0.0) if name.startswith("swin") else {}
    return timm.create_model(name, features_only=True, **swin)


def fill_like(model, key, tensor):
    """As fill(); where Swin's windows are smaller than 7x7, the middle of the bias table that 7x7 would have."""
    if not key.endswith("relative_position_bias_table"):
        return fill(weight_key(key), tensor)
    height, width = model.get_submodule(key.rpartition(".")[0]).window_size
    whole = fill(weight_key(key), torch.empty(13 * 13, tensor.shape[1])).view(13, 13, -1)
    return whole[7 - height : 6 + height, 7 - width : 6 + width].reshape(tensor.shape)


def run(case, out):
    name, mode, batch, height, width = case
    model = create(name, height, width)
    state = model.state_dict()
    model.load_state_dict({key: fill_like(model, key, tensor) for key, tensor in state.items()})
    model.double().train(mode == "train")
    features = model(uniform_tensor("input", (batch, 3, height, width)))[-4:]  # strides 4 to 32
    if name.startswith("swin"):
        features = [feature.permute(0, 3, 1, 2) for feature in features]
    prefix = f"{name}.{mode}.{batch}x{height}x{width}"
    for i, feature in enumerate(features):
        out[f"{prefix}.features.{i}"] = sample(feature)
        out[f"{prefix}.shapes.{i}"] = torch.tensor(feature.shape)
        print(prefix, i, tuple(feature.shape), f"largest {feature.abs().max().item():.3g}")
    out[f"{prefix}.sums"] = sums({str(i): feature.detach() for i, feature in enumerate(features)})
    if mode == "train":
        terms = [feature * uniform_tensor(f"cotangent.{i}", feature.shape) for i, feature in enumerate(features)]
        sum(term.sum() for term in terms).backward()
        gradients = {weight_key(key): parameter.grad for key, parameter in model.named_parameters()}
        out[f"{prefix}.gradients"] = sums(gradients)
        buffers = {key: buffer for key, buffer in model.named_buffers() if key in state}
        if buffers:
            out[f"{prefix}.buffers"] = sums(buffers)


def main():
    torch.manual_seed(0)
    for name in sys.argv[1:] or FILES:
        out = {}
        for case in FILES[name]:
            run(case, out)
        path = pathlib.Path(__file__).parent / name
        save_file(out, path, {"timm": timm.__version__, "torch": torch.__version__})
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
