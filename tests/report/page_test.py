#!/usr/bin/env python3
"""Opens the page of codmoe-eval --report: python3 tests/report/page_test.py BIN [--browser]

BIN is the folder of the built programs. Without --browser the page is read by Python's own parser; with it, headless
Chromium shows it at the widths of a phone and a desktop, light and dark. Ends with 77 where there is no Chromium, which
ctest reports as skipped."""

import base64
import csv
import html.parser
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv[1])
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}
DATASETS = ["Wald & <Wiese> \u68ee", 'one "image"']
RUNS = ["same's", "a=b | c_d"]

# Posts what the page looks like to the page around it: a window of headless Chromium is at least 500 pixels wide, a
# frame may be narrower.
PROBE = """<script>addEventListener('load', () => parent.postMessage(JSON.stringify({
  width: innerWidth, needed: document.documentElement.scrollWidth,
  background: getComputedStyle(document.body).backgroundColor, text: getComputedStyle(document.body).color,
  broken: [...document.images].filter(i => i.naturalWidth < 1).length,
  pictures: [...document.images].filter(i => i.getBoundingClientRect().width > 40).length,
  tables: [...document.querySelectorAll('table')].filter(
      t => t.checkVisibility() && t.getBoundingClientRect().height > 40).length,
  lines: [...document.querySelectorAll('.chart .line')].filter(l => l.getTotalLength() > 20).length,
  colours: new Set([...document.querySelectorAll('.legend .line')].map(l => getComputedStyle(l).stroke)).size
}), '*'))</script>"""
FRAME = """<!doctype html><iframe src="probe.html" width="{}" height="900"></iframe><pre></pre><script>
addEventListener('message', e => document.querySelector('pre').textContent = e.data)</script>"""


class Page(html.parser.HTMLParser):
    """Refuses an element that is not closed where it should be; keeps the tables, pictures, headings and links."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.pictures, self.headings, self.ids, self.links = [], [], {}, [], set(), []
        self.lines, self.elements = 0, set()
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.elements.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("h2", "h3"):
            self.headings.append("")
        elif tag == "img":
            self.pictures[values["alt"]] = values["src"]
        self.lines += tag == "path" and "line" in values.get("class", "").split()
        self.ids |= {values["id"]} if "id" in values else set()
        self.links += [values["href"]] if "href" in values else []

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open} at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings[-1] += data


def picture_size(kind, file):
    """Height and width by the file's header."""
    if kind == "png":
        assert file[:8] == b"\x89PNG\r\n\x1a\n"
        return struct.unpack(">II", file[16:24])
    assert file[:2] == b"\xff\xd8" and file[-2:] == b"\xff\xd9"
    return struct.unpack(">HH", file[(frame := file.index(b"\xff\xc0")) + 5 : frame + 9])


def run(program, *arguments):
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


class Report(unittest.TestCase):
    """Two datasets, one of a single image, and two runs: the masks themselves, and those of another set."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        work = cls.work = pathlib.Path(cls.folder.name)
        for dataset, count in zip(DATASETS, (14, 1)):
            for folder, seed in ((dataset, "1"), ("other", "2")):
                options = ["--count", str(count), "--size", "64", "--seed", seed]
                run("codmoe-data", "synth", "--output", work / folder, *options)
            shutil.copytree(work / dataset / "GT", work / "masks" / dataset)
            shutil.move(work / "other" / "GT", work / "others" / dataset)
            shutil.rmtree(work / "other")
        runs = ["--pred", f"{RUNS[0]}={work / 'masks'}", "--pred", f"{work / RUNS[1]}"]
        (work / "others").rename(work / RUNS[1])
        data = [word for dataset in DATASETS for word in ("--data", f"{dataset}={work / dataset}")]
        cls.output = run("codmoe-eval", *runs, *data, "--report", work / "report")
        cls.text = (work / "report" / "index.html").read_text(encoding="utf-8")
        cls.page = Page(cls.text)
        cls.scores = json.loads((work / "report" / "scores.json").read_text(encoding="utf-8"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()


class Parsed(Report):
    def test_score_table(self):
        table = {row[0]: row[1:] for row in self.page.tables[0]}
        columns = [(dataset, name) for dataset in sorted(DATASETS) for name in sorted(RUNS)]
        self.assertEqual(table["score"], [dataset + name for dataset, name in columns])
        for row, key in (("images (n)", "n"), ("Smeasure \u2191", "Smeasure"), ("MAE \u2193", "MAE")):
            for cell, (dataset, name) in zip(table[row], columns, strict=True):
                self.assertAlmostEqual(float(cell[:6]), self.scores["runs"][name]["datasets"][dataset][key], delta=5e-5)
        for cell, (dataset, name) in zip(table["masks"], columns, strict=True):
            self.assertEqual(cell, self.scores["runs"][name]["inputs"][dataset]["masks"])
        self.assertIn("PySODMetrics 1.6.2", self.text)

    def test_every_part_is_there(self):
        parts = [f"{name}, {dataset}" for dataset in sorted(DATASETS) for name in sorted(RUNS)]
        self.assertEqual([heading for heading in self.page.headings if heading in parts], parts)
        self.assertEqual(self.page.headings.count("By size, number and location of the object"), 4)
        self.assertEqual(len(self.page.tables), 2 + 4)
        self.assertEqual(self.page.lines, 2 * (2 + 3 * 2))  # of each dataset, the legend and three charts of two runs
        self.assertEqual({link[1:] for link in self.page.links}, {f"part-{i}" for i in range(4)})
        self.assertLessEqual({link[1:] for link in self.page.links}, self.page.ids)

    def test_pictures_are_whole(self):
        kinds = {alt.split(" of ")[0] for alt in self.page.pictures}
        self.assertEqual(kinds, {"photograph", "mask", "prediction", "errors"})
        for alt, source in self.page.pictures.items():
            kind, data = source.removeprefix("data:image/").split(";base64,")
            self.assertEqual(kind, "jpeg" if alt.startswith("photograph") else "png", alt)
            self.assertEqual(picture_size(kind, base64.b64decode(data, validate=True)), (64, 64), alt)

    def test_needs_nothing_else(self):
        self.assertFalse(self.page.elements & {"script", "link", "iframe", "object", "image", "use"})
        self.assertNotRegex(self.text, r"https?:|@import|url\(")
        self.assertNotIn(str(self.work), self.text)

    def test_the_other_files_say_the_same(self):
        with open(self.work / "report" / "images.csv", newline="", encoding="utf-8") as file:
            images = list(csv.DictReader(file))
        self.assertEqual(len(images), 2 * (14 + 1))
        for name in RUNS:
            mae = [float(row["MAE"]) for row in images if (row["run"], row["dataset"]) == (name, DATASETS[0])]
            self.assertAlmostEqual(sum(mae) / 14, self.scores["runs"][name]["datasets"][DATASETS[0]]["MAE"])
        with open(self.work / "report" / "curves.csv", newline="", encoding="utf-8") as file:
            curves = list(csv.DictReader(file))
        self.assertEqual(len(curves), 2 * 2 * 256)
        for name in RUNS:
            fm = [float(row["Fm"]) for row in curves if (row["run"], row["dataset"]) == (name, DATASETS[0])]
            self.assertAlmostEqual(max(fm), self.scores["runs"][name]["datasets"][DATASETS[0]]["maxFm"])
        for table, bold in (("table.md", "**"), ("table.tex", "\\textbf{")):
            text = (self.work / "report" / table).read_text(encoding="utf-8")
            self.assertIn(bold + f"{self.scores['runs'][RUNS[0]]['datasets'][DATASETS[0]]['Smeasure']:.4f}", text)
            self.assertIn("\u68ee", text)


class Shown(Report):
    def show(self, width, *flags):
        """What the page looks like in a frame of `width` pixels."""
        (self.work / "probe.html").write_text(self.text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
        (self.work / "frame.html").write_text(FRAME.format(width), encoding="utf-8")
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.work / 'profile'}",
                   "--window-size=1400,1000", "--virtual-time-budget=5000", *flags, "--dump-dom",
                   (self.work / "frame.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        answer = re.search(r"<pre>(\{.*\})</pre>", done.stdout)
        self.assertTrue(answer, done.stdout + done.stderr)
        return json.loads(answer[1])

    def test_at_both_widths_in_both_themes(self):
        for width, dark in ((390, True), (1280, False)):
            with self.subTest(width=width, dark=dark):
                seen = self.show(width, *["--blink-settings=preferredColorScheme=0"] * dark)
                self.assertEqual(seen["width"], width)
                self.assertLessEqual(seen["needed"], width)  # no scrolling to the side
                self.assertEqual(seen["broken"], 0)
                self.assertEqual(seen["pictures"], self.text.count("<img"))
                self.assertEqual(seen["tables"], 1 + 4)  # the other scores are folded
                self.assertEqual(seen["lines"], 2 * 3 * 2)
                self.assertEqual(seen["colours"], 2)
                background = [int(value) for value in re.findall(r"\d+", seen["background"])]
                text = [int(value) for value in re.findall(r"\d+", seen["text"])]
                self.assertEqual(max(background) < min(text), dark)


if __name__ == "__main__":
    browser = "--browser" in sys.argv
    if browser and not BROWSER:
        print("skipped: no Chromium")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], defaultTest="Shown" if browser else "Parsed")
