#!/usr/bin/env python3
"""Tests of apps/convert/codmoe_convert.py; needs a Python with torch: python3 tests/convert/codmoe_convert_test.py

Ends with 77 where there is no torch, which ctest reports as skipped."""

import argparse
import contextlib
import io
import json
import pathlib
import runpy
import struct
import subprocess
import sys
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
