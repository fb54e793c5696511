"""The report of all experiments: one HTML file that needs no other."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from experiments import report
from experiments.command_line import main
from reproduce import VGG19, read_image, write_image

CAPTIONS = {"figure_1": "Figure 1: one.", "ablation": "Ablations: what each changes."}
TABLE = "## Title\n\nText of <it>.\n\n| method | style |\n|---|---|\n| a & b | 0.1 |\n| c | 2 |\n"


class Parser(HTMLParser):
    """Counts tags, and remembers texts by the innermost tag and what is referred to."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts, self.references, self.ids = [], [], [], []
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.references += [values[name] for name in ("src", "href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        return [text for inside, text in self.texts if inside == tag]


@pytest.fixture
def folder(tmp_path, random):
    for name in ("figure_1", "ablation_seeds"):
        write_image(tmp_path / f"{name}.png", random.random((60, 90, 3), np.float32))
        (tmp_path / f"{name}.json").write_text(json.dumps({"case": "<b>"}))
    (tmp_path / "table.md").write_text(TABLE)
    (tmp_path / "notes.png").write_bytes(b"not ours: it has no record")
    return tmp_path


def test_everything_is_on_the_page_under_its_caption(folder):
    found = Parser(report.page(folder, CAPTIONS))
    assert not found.open  # all that was opened is closed
    assert found.ids == ["figure_1", "table", "ablation_seeds"]
    assert found.of("h2") == ["Figure 1", "Table", "Ablation seeds"]
    assert found.of("td") == ["a & b", "0.1", "c", "2"] and found.of("th") == ["method", "style"]
    assert found.of("h3") == ["Title"] and found.of("pre") == ['{"case": "<b>"}'] * 2
    assert {"Figure 1: one.", "Text of <it>.", "Ablations: what each changes."} <= set(found.of("p"))


def test_the_page_needs_no_other_file(folder, tmp_path):
    found = Parser(report.page(folder, CAPTIONS))
    links = [reference for reference in found.references if reference.startswith("#")]
    images = [reference for reference in found.references if reference not in links]
    assert [link[1:] for link in links] == found.ids and len(images) == 2
    for reference in images:
        kind, data = reference.split(",")
        assert kind == "data:image/jpeg;base64"
        (tmp_path / "image.jpg").write_bytes(base64.b64decode(data))
        assert read_image(tmp_path / "image.jpg").shape == (60, 90, 3)


def test_images_get_smaller_until_the_page_is_short_enough(folder, monkeypatch):
    whole = len(report.page(folder, CAPTIONS))
    monkeypatch.setattr(report, "MOST_BYTES", whole - 1)
    smaller = report.page(folder, CAPTIONS)
    assert len(smaller) < whole and len(Parser(smaller).ids) == 3


def test_the_command_writes_the_page(folder):
    assert main(["report", "--output", str(folder), "--cache", str(folder / "cache")], VGG19(width=0.05)) == 0
    assert "Figure 1: " in (folder / "report.html").read_text()
