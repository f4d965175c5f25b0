"""Writes and reads safetensors files, by the format's own description and without its library, so that the C++ reader
and writer are checked too."""

import json
import struct
from pathlib import Path

import torch

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.bfloat16: "BF16"}
TYPES = {name: dtype for dtype, name in NAMES.items()}


def save(path, tensors):
    """tensors: name -> tensor of float64, float32 or int64."""
    header, blobs, offset = {}, [], 0
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        blob = tensor.numpy().tobytes()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = Path(path)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def load(path):
    """-> (tensors by name, metadata)."""
    data = bytearray(Path(path).read_bytes())
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = TYPES[entry["dtype"]]
        flat = torch.frombuffer(data[begin:end], dtype=dtype) if end > begin else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def single(tensor):
    """Rounds float64 values to float32 ones, so that they can be stored in half the space without loss."""
    return tensor.detach().float().double()


def stored(tensors, prefix=""):
    """The tensors of single(), as the float32 that they are."""
    return {prefix + name: tensor.detach().float() for name, tensor in tensors.items()}


def flat(tensors):
    """All values in one row, in the order of the names: the header of many small tensors outweighs the tensors."""
    return torch.cat([tensors[name].detach().reshape(-1) for name in sorted(tensors)])
