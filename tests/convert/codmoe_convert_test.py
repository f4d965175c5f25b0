#!/usr/bin/env python3
"""Tests of apps/convert/codmoe_convert.py; needs a Python with torch: python3 tests/convert/codmoe_convert_test.py

Ends with 77 where there is no torch, which ctest reports as skipped."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import pickle
import runpy
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest
import unittest.mock

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

SCRIPT = pathlib.Path(__file__).parents[2] / "apps" / "convert" / "codmoe_convert.py"


def read_safetensors(path):
    """An independent reader, for little-endian machines."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    kinds = {"F32": torch.float32, "F64": torch.float64, "BF16": torch.bfloat16, "I64": torch.int64, "BOOL": torch.bool}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            flat = torch.frombuffer(bytearray(raw[begin:end]), dtype=kinds[entry["dtype"]])
            tensors[name] = flat.view(entry["shape"])
    return tensors


def run_script(*arguments):
    """As a program, but in this process: importing torch takes seconds."""
    output, errors = io.StringIO(), io.StringIO()
    with unittest.mock.patch("sys.argv", [str(SCRIPT), *arguments]):
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                runpy.run_path(str(SCRIPT), run_name="__main__")
            except SystemExit as end:
                return subprocess.CompletedProcess(arguments, end.code, output.getvalue(), errors.getvalue())
    raise AssertionError("the script has not said how it ended")


def save_as_tar(state, path):
    """As PyTorch before 0.1.10 did: a tar file of storages, tensors and a pickle that refers to the tensors by number."""
    members = {name: io.BytesIO() for name in ("storages", "tensors", "pickle")}
    storages, tensors, objects = members.values()
    for file in (storages, tensors):
        pickle.dump(len(state), file, 2)
    for number, tensor in enumerate(state.values()):
        raw = tensor.contiguous().numpy().tobytes()
        pickle.dump((number, "cpu", torch.FloatStorage), storages, 2)
        storages.write(struct.pack("<q", tensor.numel()) + raw)
        pickle.dump((100 + number, number, torch.FloatTensor), tensors, 2)
        shape, stride = tensor.shape, tensor.contiguous().stride()
        tensors.write(struct.pack(f"<q{2 * len(shape)}qq", len(shape), *shape, *stride, 0))
    pickle.dump([], storages, 2)
    pickler = pickle.Pickler(objects, 2)
    numbers = {id(tensor): str(100 + number) for number, tensor in enumerate(state.values())}
    pickler.persistent_id = lambda item: numbers.get(id(item))
    pickler.dump(state)
    with tarfile.open(path, "w") as archive:
        for name, file in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = file.tell()
            file.seek(0)
            archive.addfile(entry, file)


class Harmful:
    """Would make a folder on being unpickled."""
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class ConvertTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.input = pathlib.Path(folder.name) / "in.pth"
        self.output = pathlib.Path(folder.name) / "out.safetensors"

    def convert(self, content=None, *options, **save):
        if content is not None:
            torch.save(content, self.input, **save)
        return run_script(str(self.input), str(self.output), *options)

    def expect(self, done, expected):
        self.assertEqual(done.returncode, 0, done.stderr)
        actual = read_safetensors(self.output)
        self.assertEqual(list(sorted(actual)), list(sorted(expected)))
        for name, tensor in expected.items():
            self.assertEqual(actual[name].dtype, tensor.dtype, name)
            self.assertTrue(torch.equal(actual[name], tensor), name)

    def refuse(self, done, part):
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(part, done.stderr)
        self.assertFalse(self.output.exists())

    def test_both_formats_of_torch_save(self):
        state = {"a.weight": torch.randn(2, 3).t(), "b": torch.tensor([True, False]), "c": torch.tensor(5),
                 "d": torch.randn(3).bfloat16(), "e": torch.randn(2).double()}
        for zipped in (True, False):
            self.expect(self.convert(state, _use_new_zipfile_serialization=zipped), state)

    def test_every_pickle_protocol(self):
        state = {"a.weight": torch.randn(2, 3), "b": torch.nn.Parameter(torch.ones(2).half().float())}
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            for zipped in (True, False):
                with self.subTest(protocol=protocol, zipped=zipped):
                    content = {"args": argparse.Namespace(lr=0.1), "state_dict": state}
                    self.expect(self.convert(content, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol),
                                state)

    def test_tar_files_of_the_first_pytorch(self):
        state = {"a.weight": torch.randn(2, 3), "b": torch.randn(4)}
        save_as_tar(state, self.input)
        self.expect(self.convert(), state)

    def test_no_code_of_a_file_is_run(self):
        mark = self.input.with_name("mark")
        for protocol in (2, 4):
            for zipped in (True, False):
                content = {"w": torch.ones(1), "x": Harmful(str(mark))}
                done = self.convert(content, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
                self.refuse(done, "it needs code to be read (posix.mkdir)")
        save_as_tar({"w": torch.ones(1), "x": torch.ones(1)}, self.input)
        harmful = pickle.dumps(Harmful(str(mark)), 2)
        with tarfile.open(self.input, "a") as archive:  # the last of a name counts
            entry = tarfile.TarInfo("pickle")
            entry.size = len(harmful)
            archive.addfile(entry, io.BytesIO(harmful))
        self.refuse(self.convert(), "it needs code to be read (posix.mkdir)")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(self.input))
        self.refuse(self.convert(), "is a TorchScript program")
        self.assertFalse(mark.exists())
        pickle.loads(harmful)
        self.assertTrue(mark.exists())

    def test_makes_the_folder_of_its_output(self):
        self.output = self.output.parent / "weights" / "new" / "out.safetensors"
        torch.save({"a.weight": torch.ones(2)}, self.input)
        result = run_script(str(self.input), str(self.output))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(read_safetensors(self.output)["a.weight"].tolist(), [1, 1])

    def test_nesting_prefix_and_what_training_scripts_add(self):
        weight = torch.randn(2)
        content = {"epoch": 3, "args": argparse.Namespace(lr=0.1),
                   "state_dict": {"module.w": weight, "module.note": "text"}}
        done = self.convert(content)
        self.expect(done, {"w": weight})
        report = "taken from under state_dict; prefix module. removed; left out, not tensors: module.note"
        self.assertIn(report, done.stdout)

    def test_numpy_scalars(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("no NumPy")
        self.expect(self.convert({"best": numpy.float64(0.5), "model": {"w": torch.ones(1)}}), {"w": torch.ones(1)})

    def test_a_prefix_that_not_all_keys_have_stays(self):
        state = {"module.w": torch.ones(1), "v": torch.ones(1)}
        self.expect(self.convert(state), state)

    def test_prefixes_inside_each_other(self):
        state = {"module.backbone.w": torch.ones(1), "module.backbone.v": torch.ones(2)}
        self.expect(self.convert({"model": {"state_dict": state}}), {"w": torch.ones(1), "v": torch.ones(2)})

    def test_a_part_of_a_detector(self):
        state = {"backbone.w": torch.ones(1), "decoder.w": torch.zeros(1)}
        self.expect(self.convert(state), state)
        self.expect(self.convert(state, "--prefix", "backbone."), {"w": torch.ones(1)})
        self.output.unlink()
        self.refuse(self.convert(state, "--prefix", "encoder."), "no key begins with encoder.")

    def test_key(self):
        content = {"model": {"w": torch.zeros(1)}, "teacher": {"w": torch.ones(1)}}
        self.expect(self.convert(content), {"w": torch.zeros(1)})
        self.expect(self.convert(content, "--key", "teacher"), {"w": torch.ones(1)})

    def test_names_of_efficientnet_pytorch(self):
        def conv(out, into):
            return torch.randn(out, into, 1, 1)
        kept = {"_conv_stem.weight": conv(8, 3), "_bn0.running_mean": torch.randn(8)}
        renamed = {"conv_stem.weight": kept["_conv_stem.weight"], "bn1.running_mean": kept["_bn0.running_mean"]}
        # Stage 0: one block without expansion; stage 1: two blocks; stage 2: one.
        for number, (stage, index, into, out, expand) in enumerate([(0, 0, 8, 4, 1), (1, 0, 4, 6, 2), (1, 1, 6, 6, 2),
                                                                    (2, 0, 6, 8, 2)]):
            mid, old, new = into * expand, f"_blocks.{number}.", f"blocks.{stage}.{index}."
            names = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
                     "_project_conv": "conv_pwl", "_bn2": "bn3"}
            if expand == 1:
                names = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
            shapes = {"_expand_conv": (mid, into), "_depthwise_conv": (mid, 1), "_project_conv": (out, mid)}
            for name, target in names.items():
                tensor = conv(*shapes[name]) if name in shapes else torch.randn(3)
                kept[f"{old}{name}.weight"] = renamed[f"{new}{target}.weight"] = tensor
        for name, target in {"_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}.items():
            kept[f"{name}.bias"] = renamed[f"{target}.bias"] = torch.randn(2)
        done = self.convert(kept)
        self.expect(done, renamed)
        self.assertIn("renamed from efficientnet_pytorch to timm", done.stdout)

    def test_names_of_the_authors_of_pvt_v2(self):
        names = {"patch_embed1.proj.weight": "patch_embed.proj.weight",
                 "patch_embed3.norm.bias": "stages.2.downsample.norm.bias",
                 "block1.0.attn.kv.weight": "stages.0.blocks.0.attn.kv.weight",
                 "block4.11.mlp.dwconv.dwconv.weight": "stages.3.blocks.11.mlp.dwconv.weight",
                 "norm2.weight": "stages.1.norm.weight", "block2.1.norm1.bias": "stages.1.blocks.1.norm1.bias",
                 "head.bias": "head.bias"}
        tensors = {name: torch.randn(2) for name in names}
        done = self.convert(tensors)
        self.expect(done, {new: tensors[name] for name, new in names.items()})
        self.assertIn("renamed from PVTv2's authors to timm", done.stdout)

    def test_refusals(self):
        self.refuse(self.convert(), "No such file")
        self.input.write_bytes(b"not weights at all")
        self.refuse(self.convert(), "torch cannot read it")
        self.refuse(self.convert(torch.nn.Linear(2, 2)), "save model.state_dict() instead")
        self.refuse(self.convert({"optimizer": {"lr": 1}}), "its keys are: optimizer")
        self.refuse(self.convert({"model": {"a": {"b": 1}}}), "no state dict")
        self.refuse(self.convert({"w": torch.zeros(2, dtype=torch.complex64)}), "cannot hold torch.complex64")
        odd = {"_conv_stem.weight": torch.zeros(1), "odd.name": torch.zeros(1)}
        self.refuse(self.convert(odd), "odd.name is no name")
        torch.save({"w": torch.zeros(1000)}, self.input)
        self.input.write_bytes(self.input.read_bytes()[:2000])
        self.refuse(self.convert(), "torch cannot read it")


if __name__ == "__main__":
    unittest.main()
