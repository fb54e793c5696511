"""The experiments' machinery: caching by what made a run, the table, the command line. Networks here are small."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from experiments import ablation, runs, structure, table
from experiments.__main__ import EXPERIMENTS, main
from experiments.drawing import panels, save
from experiments.materials import Case, Materials
from experiments.methods import METHODS
from experiments.runs import Runs
from reproduce.applications import Result
from reproduce.architecture import Rectangle
from reproduce.features import Extractor
from reproduce.images import read_image
from reproduce.settings import PAPER, REFINED
from reproduce.weights import Weights


@pytest.fixture
def made(monkeypatch):
    """Replace the applications by ones that count their calls and return the content inverted."""
    calls = []

    def application(name):
        def run(image, *others, weights, on_progress, **more):
            settings = next(other for other in others if hasattr(other, "iterations"))
            calls.append((name, settings))
            trace = [{"stage": stage, "loss": loss} for stage, loss in ((0, 9.0), (1, 4.0), (1, 1.0), (1, 2.0))]
            report = {"interrupted": False, "seconds": 1.0, "evaluations": 3, "peak_memory_bytes": 5, "trace": trace}
            return Result(1 - image, report | {"loss": {"initial": {}, "final": {}}})

        run.__name__ = name
        return run

    for name in ("harmonize", "stylize", "restyle_region"):
        monkeypatch.setattr(runs, name, application(name))
    monkeypatch.setattr(runs, "weights", lambda: Weights("nowhere", "test", "0" * 64))
    return calls


def case(name="one", shape=(40, 48)):
    random = np.random.default_rng(len(name))
    background = random.integers(0, 256, (*shape, 3)).astype(np.float32) / 255
    mask = np.zeros(shape, np.float32)
    mask[10:30, 12:36] = 1
    return Case(name, background, np.where(mask[..., None] > 0, 1 - background, background), mask)


def make_runs(folder, **changes):
    materials = Materials("test", "drawn", "none", {name: lambda name=name: case(name) for name in ("one", "two")})
    return Runs(materials, folder / "output", folder / "cache", **changes)


def test_a_run_is_made_once(made, tmp_path):
    first = make_runs(tmp_path).harmonize(case(), PAPER)
    again = make_runs(tmp_path).harmonize(case(), PAPER)
    assert len(made) == 1
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_allclose(first.image, 1 - case().background, atol=1e-6)


@pytest.mark.parametrize("changes", [{"scale": 1.0}, {"content_weight": 0.1}, {"style_layers": ("block3_conv1",)}])
def test_other_settings_make_another_run(made, tmp_path, changes):
    everything = make_runs(tmp_path)
    everything.harmonize(case(), PAPER)
    everything.harmonize(case(), replace(PAPER, **changes))
    assert len(made) == 2


def test_other_inputs_weights_or_code_make_another_run(made, tmp_path, monkeypatch):
    everything = make_runs(tmp_path)
    everything.harmonize(case(), PAPER)
    touched = case()
    touched.background[0, 0, 0] = 1 - touched.background[0, 0, 0]
    everything.harmonize(touched, PAPER)
    monkeypatch.setattr(runs, "weights", lambda: Weights("nowhere", "test", "1" * 64))
    everything.harmonize(case(), PAPER)
    monkeypatch.setattr(runs, "method_hash", lambda: "other code")
    everything.harmonize(case(), PAPER)
    assert len(made) == 4


def test_images_of_the_same_bytes_and_other_sizes_make_another_run(made, tmp_path):
    everything = make_runs(tmp_path)
    for shape in ((40, 48), (48, 40)):
        everything.stylize("blank", np.ones((*shape, 3), np.float32), case().background, PAPER)
    assert len(made) == 2


def test_a_stopped_run_is_not_kept(made, tmp_path, monkeypatch):
    def stopped(image, *others, **more):
        return Result(image, {"interrupted": True})

    stopped.__name__ = "harmonize"
    monkeypatch.setattr(runs, "harmonize", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_runs(tmp_path).harmonize(case(), PAPER)
    assert not (tmp_path / "cache").exists()


def test_the_code_s_hash_ignores_comments_and_docstrings_only(tmp_path, monkeypatch):
    def hash_of(source):
        (tmp_path / "module.py").write_text(source)
        runs.method_hash.cache_clear()
        return runs.method_hash()

    monkeypatch.setattr(runs, "METHOD", ("module",))
    monkeypatch.setattr(runs.reproduce, "__file__", str(tmp_path / "__init__.py"))
    plain = hash_of('def f(x):\n    """Double."""\n    return 2 * x\n')
    assert hash_of('def f(x):\n    """Twice."""\n\n    return 2 * x  # why\n') == plain
    assert hash_of('def f(x):\n    """Double."""\n    return 3 * x\n') != plain
    runs.method_hash.cache_clear()


def test_iterations_and_smoke_go_into_the_settings(made, tmp_path):
    make_runs(tmp_path, iterations=7).harmonize(case(), PAPER)
    make_runs(tmp_path, smoke=True).harmonize(case(), PAPER)
    assert [settings.iterations for _, settings in made] == [7, runs.SMOKE_ITERATIONS]


def test_smoke_shrinks_images_and_leaves_cases_out(tmp_path):
    names = [str(number) for number in range(5)]
    large = Materials("test", "drawn", "none", {name: lambda: case("large", (300, 600)) for name in names})
    cases = Runs(large, tmp_path, tmp_path, smoke=True).cases()
    assert len(cases) == runs.SMOKE_CASES
    assert cases[0].background.shape == (runs.SMOKE_SIDE // 2, runs.SMOKE_SIDE, 3)
    assert cases[0].mask.shape == cases[0].background.shape[:2]


def test_every_ablation_has_its_preset_s_settings_among_its_own():
    for name, variants in ablation.ABLATIONS.items():
        assert (REFINED if name == "refined" else PAPER) in variants.values(), name
        assert len(set(map(str, variants.values()))) == len(variants) > 1


def test_an_ablation_has_its_pictures_its_table_and_its_losses(made, tmp_path, monkeypatch):
    measures = dict.fromkeys(("content", "style", "grain", "color_grain", "seam"), 1.0)
    monkeypatch.setattr(ablation, "Judgement", lambda case: lambda image: measures)
    ablation.make(make_runs(tmp_path, ablations=("iterations",)))
    with open(tmp_path / "output" / "ablation_iterations_table.csv") as file:
        rows = list(csv.DictReader(file))
    variants = ablation.ABLATIONS["iterations"]
    assert [(row["case"], row["method"]) for row in rows] == [(c, v) for c in ("one", "two") for v in variants]
    assert {row["loss"] for row in rows} == {"0.25"}
    losses = json.loads((tmp_path / "output" / "ablation_iterations_loss.json").read_text())
    assert losses["two"]["iterations 400"] == [1, 0.25, 0.5]  # the last stage alone
    for name in ("ablation_iterations", "ablation_iterations_loss", "ablation_iterations_table"):
        assert (tmp_path / "output" / f"{name}.png").exists()


def test_the_table_has_a_row_a_case_and_method_and_medians(made, tmp_path, monkeypatch):
    def judge(image):
        return {"content": float(image[0, 0, 0])} | dict.fromkeys(("style", "grain", "color_grain", "seam"), 1.0)

    monkeypatch.setattr(table, "Judgement", lambda case: judge)
    rows = table.measure(make_runs(tmp_path), ("naive", "paper", "final"), "table")
    assert [(row["case"], row["method"]) for row in rows] == [
        (c, m) for c in ("one", "two") for m in ("naive", "paper")
    ]
    with open(tmp_path / "output" / "table.csv") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert rows[1]["content"] == pytest.approx(1 - rows[0]["content"], abs=1e-6)
    assert json.loads((tmp_path / "output" / "table.json").read_text())["rows"][0]["case"] == "one"
    assert (tmp_path / "output" / "table.png").exists()


def test_medians_by_hand():
    rows = [{"case": c, "method": "a", "style": s} for c, s in (("1", 0.1), ("2", 0.5), ("3", 0.2))]
    assert table.medians(rows).splitlines()[2] == "| a | 3 | 0.200 |"


def test_the_table_s_methods_are_known():
    assert set(table.DEFAULT_METHODS) <= set(METHODS)


def test_cases_can_be_chosen(tmp_path):
    assert [case.name for case in make_runs(tmp_path).cases(1)] == ["one"]
    chosen = make_runs(tmp_path, only=("two",))
    assert [case.name for case in chosen.cases()] == ["two"] and chosen.paper_case().name == "two"


def test_a_figure_is_saved_with_its_record(tmp_path):
    figure = panels([{"left": case().background, "right": case().mask}], [Rectangle(5, 5, 20, 30)])
    save(figure, tmp_path / "new" / "figure", {"made of": "panels"})
    assert read_image(tmp_path / "new" / "figure.png").shape[1] > 500
    assert json.loads((tmp_path / "new" / "figure.json").read_text()) == {"made of": "panels"}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.json", "figure.png"]


def test_a_structure_shows_the_shapes_and_losses_of_its_run():
    extractor = Extractor(PAPER.layers, width=1 / 16)
    report = {"size": {"working": [112, 80]}, "evaluations": 4}  # width first, as in every report
    terms = {"content block4_conv1": 0.0} | {f"style {layer}": 0.5 for layer in PAPER.style_layers}
    report["loss"] = {"initial": {"total": 12345.6, "terms": terms}, "final": {"total": 0.25, "terms": terms}}
    shape = structure.working_shape(report)
    rows = structure.feature_maps(extractor, {"pasted": case().composite}, shape)
    images = {"one": case().composite}
    figure = structure.draw_structure("Title", images, extractor, PAPER, rows, report, images)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert {"block1_conv1  80 x 112 x 4", "block3_conv1  20 x 28 x 16   style"} <= set(texts)
    assert "block5_conv1\npasted 5 x 7" in texts
    assert "content loss\n0 \N{RIGHTWARDS ARROW} 0\nstyle loss\n0.5 \N{RIGHTWARDS ARROW} 0.5" in texts
    assert any("12,346 \N{RIGHTWARDS ARROW} 0.25 in 4 evaluations" in text for text in texts)


def test_the_list_names_every_experiment(capsys):
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figure_8"], "Expected experiments out of demo, "),
        (["figure_5", "--materials", "no/such/folder"], "no/such/folder"),
        ([], "Expected the name of an experiment"),
        (["figure_5", "table", "--methods", "paper,naiv"], "Expected methods out of naive, .*Received: naiv"),
        (["figure_5", "ablation", "--ablations", "patch"], "Expected ablations out of resolution, .*Received: patch"),
        (["figure_5", "--cases", "balloon,ballon"], "Expected cases of demo out of balloon, .*Received: ballon"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(arguments, message, capsys, tmp_path):
    assert main([*arguments, "--output", str(tmp_path / "o")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(message, lines[0])
    assert not (tmp_path / "o").exists()
