#!/usr/bin/env python3
"""Compares codmoe's backbones with timm's: random weights, the same images, features and every parameter's gradient.

    pip install timm==1.0.31 safetensors
    python3 tests/backbone/compare_timm.py [NAME…] [--size 224x224,256x352,352x352] [--mode eval,train]
        [--dtype float32,float64] [--batch 2] [--bench build/release/bin/codmoe-bench]

Without names: every backbone of configs/models that timm has. timm's whole model is written as safetensors, and
`codmoe-bench model` reads that file. The gradients are those of the sum over levels of mean(feature^2); mode says
which statistics batch norms use in it: their running ones (eval) or the batch's (train).

A level's deviation is its largest difference over the largest value; a parameter's is the norm of its gradient's
difference over the gradient's norm. Exit code 1 where one is above the limit of its dtype. Where float32 misses, the
row says how far timm's own gradients move when the images change by float32's rounding, which tells a kink from an
error: a ReLU whose input is within rounding of 0 passes a gradient or not. It stays a miss; float64 decides. That is
so of pvt_v2_b2_li, the only one with ReLUs whose arithmetic is not timm's to the bit: compare it by --dtype float64.
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile
import time

import timm
import torch
from safetensors.torch import load_file, save_file

from make_timm_vectors import weight_key

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMITS = {"float32": (1e-5, 1e-4), "float64": (1e-11, 1e-9)}  # of features, of gradients
FLOAT32_ROUNDING = 2.0**-24
ROW = "{:<30} {:>8} {:>6} {:>8} {:>10} {:>10}  {}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--size", default="224x224,256x352,352x352")
    parser.add_argument("--mode", default="eval,train")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--bench", default=str(ROOT / "build/release/bin/codmoe-bench"))
    args = parser.parse_args()
    args.names = args.names or timms(sorted(path.stem for path in (ROOT / "configs/models").glob("*.yaml")))
    args.sizes = [tuple(int(side) for side in size.split("x")) for size in args.size.split(",")]
    return args


def timms(names):
    """Those of the names that timm has; says which it hasn't."""
    for name in names:
        if not timm.is_model(name):
            print(f"{name}: timm has no such model; left out")
    return [name for name in names if timm.is_model(name)]


def fitting(name, size):
    """Swin's position tables and masks are made for one input size; it alone has stochastic depth by default."""
    return {"img_size": size, "drop_path_rate": 0.0} if name.startswith("swin") else {}


def randomise(model):
    """Norms and layer scales as after some training: with initial ones and zeros, mistakes would not show."""
    for name, value in itertools.chain(model.named_parameters(), model.named_buffers()):
        if not value.is_floating_point():
            continue
        if name.endswith("running_var"):
            value.data.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", ".bias")):
            value.data.normal_(0.0, 0.1)
        elif name.endswith(".gamma"):
            value.data.normal_(0.5, 0.1)
        elif name.endswith(".weight") and value.dim() == 1:
            value.data.normal_(1.0, 0.1)


def whole_model(name, size):
    torch.manual_seed(0)
    model = timm.create_model(name, **fitting(name, size))
    randomise(model)
    return model.state_dict()


def channels_first(feature, channels):
    """Swin's features are [B, H, W, C]."""
    return feature if feature.shape[1] == channels else feature.permute(0, 3, 1, 2)


def timms_results(name, size, mode, weights, images):
    """Features of strides 4 to 32, and gradients by the weights file's key; in the dtype of the images."""
    model = timm.create_model(name, features_only=True, **fitting(name, size))
    model.load_state_dict({key: weights[weight_key(key)] for key in model.state_dict()})
    model.to(images.dtype).train(mode == "train")
    channels = model.feature_info.channels()[-4:]
    features = [channels_first(f, c) for f, c in zip(model(images)[-4:], channels)]
    sum(feature.square().mean() for feature in features).backward()
    gradients = {weight_key(key): p.grad for key, p in model.named_parameters() if p.grad is not None}
    return [feature.detach() for feature in features], gradients


def codmoes_results(bench, name, mode, folder):
    command = [bench, "model", "--device", "cpu", "--backbone", name, "--weights", folder / "weights.safetensors",
               "--input", folder / "input.safetensors", "--save-io", folder / "io.safetensors", "--pass", "train",
               "--set", f"frozen_norm={'true' if mode == 'eval' else 'false'}", "--log-level", "error"]
    subprocess.run([str(word) for word in command], check=True)
    tensors = load_file(folder / "io.safetensors")
    gradients = {key.removeprefix("grad."): t for key, t in tensors.items() if key.startswith("grad.")}
    return [tensors[f"features.{level}"] for level in range(4)], gradients


def feature_deviation(actual, expected):
    if actual.shape != expected.shape:
        raise SystemExit(f"feature of shape {tuple(actual.shape)}; timm's is {tuple(expected.shape)}")
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def gradient_deviations(actual, expected):
    if set(actual) != set(expected):
        raise SystemExit(f"gradients of one side alone: {sorted(set(actual) ^ set(expected))[:5]}")
    return {key: ((actual[key] - g).norm() / g.norm()).item() for key, g in expected.items()}


def rounding_of(name, size, mode, weights, images, key, gradient):
    """The largest deviation of timm's own gradient of `key` over four images that float32 hardly tells apart."""
    generator = torch.Generator().manual_seed(2)
    deviations = []
    for _ in range(4):
        near = images * (1 + FLOAT32_ROUNDING * torch.randn(images.shape, generator=generator))
        deviations.append(gradient_deviations({key: timms_results(name, size, mode, weights, near)[1][key]},
                                              {key: gradient})[key])
    return max(deviations)


def compare(args, name, size, mode, dtype):
    """Prints one row; whether all is within the limits."""
    begin = time.time()
    weights = whole_model(name, size)
    images = torch.randn(args.batch, 3, *size, generator=torch.Generator().manual_seed(1)).to(getattr(torch, dtype))
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        save_file(weights, folder / "weights.safetensors")
        save_file({"input": images}, folder / "input.safetensors")
        features, gradients = codmoes_results(args.bench, name, mode, folder)
    expected_features, expected_gradients = timms_results(name, size, mode, weights, images)
    feature = max(feature_deviation(a, e) for a, e in zip(features, expected_features))
    by_key = gradient_deviations(gradients, expected_gradients)
    key = max(by_key, key=by_key.get)
    good = feature <= LIMITS[dtype][0] and by_key[key] <= LIMITS[dtype][1]  # not a number fails
    note = "" if good else f"MISS; the worst gradient is that of {key}"
    if dtype == "float32" and not good:
        rounding = rounding_of(name, size, mode, weights, images, key, expected_gradients[key])
        note += f"; timm's own moves by up to {rounding:.1e} with images changed by rounding"
    print(ROW.format(name, "x".join(map(str, size)), mode, dtype, f"{feature:.1e}", f"{by_key[key]:.1e}",
                     note or f"{time.time() - begin:.0f} s"), flush=True)
    return good


def main():
    args = arguments()
    cases = list(itertools.product(args.names, args.sizes, args.mode.split(","), args.dtype.split(",")))
    print(f"timm {timm.__version__}, torch {torch.__version__}, {len(cases)} cases; limits {LIMITS}")
    print(ROW.format("backbone", "size", "mode", "dtype", "features", "gradients", ""), flush=True)
    misses = [case for case in cases if not compare(args, *case)]
    print(f"{len(cases) - len(misses)} of {len(cases)} within the limits")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
