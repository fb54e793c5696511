"""Folders of images: which belong together, what is made, what is there already, and what goes wrong with some."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_command_line import HEIGHT, SMALL, WIDTH, contents, folder, pressing, refused, run, typed  # noqa: F401

from reproduce import InputError, read_image, write_image
from reproduce.images.listing import by_ending, by_stem, images_in, natural

SHORT = ["--scale", "1", "--iterations", "2"]
SIZE = (HEIGHT, WIDTH)
PROGRAM = [sys.executable, str(Path(__file__).with_name("program.py"))]


def image(seed):
    return np.random.default_rng(seed).random((*SIZE, 3))


@pytest.fixture
def photos(folder):  # noqa: F811
    """Three images, and other things."""
    photos = folder / "photos"
    (photos / "inside").mkdir(parents=True)
    write_image(photos / "inside" / "deep.png", image(9))
    for number, name in enumerate(("p10.png", "p9.jpg", "P.tif")):
        write_image(photos / name, image(number))
    (photos / "notes.txt").write_text("notes")
    (photos / ".hidden.png").write_text("")
    return photos


@pytest.fixture
def painted(folder):  # noqa: F811
    return folder / "painted"


def names(path):
    return {entry.name for entry in path.iterdir()}


def stylize(photos, painted, *options):
    return ["stylize", str(photos), str(photos.parent / "style.png"), "-o", str(painted), *SHORT, *options]


def reports(painted):
    return {path.stem: json.loads(path.read_text()) for path in painted.glob("*.json")}


def times(painted):
    return {path.name: path.stat().st_mtime_ns for path in painted.iterdir()}


# Which files


def test_what_is_an_image_is_told_by_its_name(photos):
    (photos / "phone.HEIC").write_text("")
    (photos / "folder.png").mkdir()
    images, others = images_in(photos)
    assert [path.name for path in images] == ["P.tif", "p9.jpg", "p10.png", "phone.HEIC"]
    assert others == ["folder.png/", "inside/", "notes.txt"]


def test_numbers_in_names_count_as_numbers():
    assert sorted(["a10b", "a9b", "a", "10", "9", "b1"], key=natural) == ["9", "10", "a", "a9b", "a10b", "b1"]


def test_two_files_of_one_stem_are_a_mistake():
    assert by_stem([Path("x/a.png"), Path("x/b.a.png")]) == {"a": Path("x/a.png"), "b.a": Path("x/b.a.png")}
    with pytest.raises(InputError, match=r"one image called a\. Received: x/a.jpg and x/a.png"):
        by_stem([Path("x/a.jpg"), Path("x/a.png")])


def test_files_of_one_name_and_several_endings():
    files = [
        Path(f"x/{name}") for name in ("11_naive.png", "4_c_mask.jpg", "4_naive.png", "mask.png", "a_mask_naive.png")
    ]
    assert by_ending(files, {"naive": "composite", "c_mask": "mask"}) == {
        "4": {"mask": files[1], "composite": files[2]},
        "11": {"composite": files[0]},
        "a_mask": {"composite": files[4]},
    }
    with pytest.raises(InputError, match="one composite for case 4"):
        by_ending([*files, Path("x/4_naive.jpg")], {"naive": "composite"})


# What is made


def test_every_image_of_a_folder_is_made(photos, painted, folder, capfd):  # noqa: F811
    assert run(folder, *stylize(photos, painted)) == 0
    err = capfd.readouterr().err
    assert names(painted) == {f"{stem}.{suffix}" for stem in ("P", "p9", "p10") for suffix in ("png", "json")}
    assert run(folder, "stylize", str(photos / "p9.jpg"), "STYLE", "-o", "OUT", *SHORT, "--quiet") == 0
    np.testing.assert_array_equal(read_image(painted / "p9.png"), read_image(folder / "out.png"))
    assert "passed over: inside/, notes.txt\n" in err
    for number in (1, 2, 3):
        assert f"image {number} of 3" in err
    assert "image 3 of 3, 1 min left: optimizing: 100%" in err
    assert f"{painted}: 3 of 3 images\n" in err
    assert err.index("P.png: ") < err.index("p9.png: ") < err.index("p10.png: ")


def test_the_network_is_found_once(photos, painted, folder, monkeypatch):  # noqa: F811
    found = []
    monkeypatch.setattr("reproduce.command_line.folders.found_network", lambda *arguments: found.append(1) or SMALL)
    assert run(folder, *stylize(photos, painted, "--quiet"), network=None) == 0
    assert found == [1] and len(names(painted)) == 6


def test_what_is_there_already_is_not_made_again(photos, painted, folder, capfd):  # noqa: F811
    assert run(folder, *stylize(photos, painted, "--quiet")) == 0
    before = times(painted)
    (painted / "p9.png").unlink()
    assert run(folder, *stylize(photos, painted)) == 0
    assert "2 of 3 images are there already\n" in capfd.readouterr().err
    after = times(painted)
    assert {name for name in after if after[name] != before[name]} == {"p9.png", "p9.json"}
    write_image(photos / "P.tif", image(7))
    assert run(folder, *stylize(photos, painted, "--quiet")) == 0
    assert {name for name in after if times(painted)[name] != after[name]} == {"P.png", "P.json"}


@pytest.mark.parametrize("options", [
    ["--style-weight", "2"], ["--preset", "gatys"], ["--preset", "refined"], ["--blend", "1"],
])  # fmt: skip
def test_with_other_settings_everything_is_made_again(photos, painted, folder, options):  # noqa: F811
    """And with the same ones nothing, though some are adapted to an image while it is made."""
    for path in ("p10.png", "P.tif"):
        (photos / path).unlink()
    assert run(folder, *stylize(photos, painted, "--quiet")) == 0
    before = times(painted)
    assert run(folder, *stylize(photos, painted, "--quiet", *options)) == 0
    after = times(painted)
    assert all(after[name] != before[name] for name in before)
    assert run(folder, *stylize(photos, painted, "--quiet", *options)) == 0
    assert times(painted) == after


def test_another_style_or_other_weights_are_another_request(photos, painted, folder):  # noqa: F811
    for path in ("p10.png", "P.tif"):
        (photos / path).unlink()
    made = []
    for network, style in ((SMALL, 0), (SMALL, 1), (Other(), 1), (Other(), 1)):
        write_image(folder / "style.png", image(20 + style))
        assert run(folder, *stylize(photos, painted, "--quiet"), network=network) == 0
        made.append(times(painted)["p9.png"])
    assert made[0] < made[1] < made[2] == made[3]


class Other(type(SMALL)):
    """As if its weights came from another file."""

    @property
    def origin(self):
        return {"source": "elsewhere", "sha256": "0" * 64}


@pytest.mark.parametrize("spoil", [
    lambda report: "no report",
    lambda report: "[]",
    lambda report: json.dumps(report | {"interrupted": True}),
    lambda report: json.dumps({key: value for key, value in report.items() if key != "request"}),
])  # fmt: skip
def test_only_a_whole_report_says_that_an_image_is_made(photos, painted, folder, spoil):  # noqa: F811
    for path in ("p10.png", "P.tif"):
        (photos / path).unlink()
    assert run(folder, *stylize(photos, painted, "--quiet")) == 0
    text = spoil(json.loads((painted / "p9.json").read_text()))
    (painted / "p9.json").write_text(text)
    code = run(folder, *stylize(photos, painted, "--quiet"))
    is_report = text.startswith("{")
    assert code == (0 if is_report else 2)  # what is no report is never replaced
    assert ((painted / "p9.json").read_text() == text) == (not is_report)


def test_images_of_equal_names_belong_together(photos, painted, folder):  # noqa: F811
    (folder / "masks").mkdir()
    for number, stem in enumerate(("P", "p9", "p10", "unused")):
        mask = np.zeros(SIZE)
        mask[10 + number : 50, 10:60] = 1
        write_image(folder / "masks" / f"{stem}.png", mask)
    arguments = ["restyle-region", str(photos), "STYLE", "--mask", str(folder / "masks"), *SHORT, "--quiet"]
    assert run(folder, *arguments, "-o", str(painted)) == 0
    assert len(names(painted)) == 6
    masks = {report["inputs"]["mask"] for report in reports(painted).values()}
    assert len(masks) == 3
    assert run(folder, "restyle-region", str(photos / "p10.png"), "STYLE", "--mask", str(folder / "masks" / "p10.png"),
               "-o", "OUT", *SHORT, "--quiet") == 0  # fmt: skip
    np.testing.assert_array_equal(read_image(painted / "p10.png"), read_image(folder / "out.png"))


def test_one_image_in_several_styles(photos, painted, folder):  # noqa: F811
    arguments = ["stylize", "CONTENT", str(photos), "-o", str(painted), *SHORT, "--quiet"]
    assert run(folder, *arguments) == 0
    assert len({report["inputs"]["style"] for report in reports(painted).values()}) == 3
    assert len({report["inputs"]["content"] for report in reports(painted).values()}) == 1


def test_details_kept_in_every_image(photos, painted, folder):  # noqa: F811
    mask = np.zeros(SIZE)
    mask[10:30, 10:35] = 1
    write_image(folder / "mask.png", mask)
    arguments = ["keep-details", str(photos), "STYLE", "MASK", "-o", str(painted), *SHORT, "--quiet"]
    assert run(folder, *arguments) == 0
    kinds = ("{}.png", "{}.json", "{}_stylized.png")
    assert names(painted) == {kind.format(stem) for stem in ("P", "p9", "p10") for kind in kinds}
    before = times(painted)
    (painted / "p9_stylized.png").unlink()
    assert run(folder, *arguments) == 0
    assert {name for name in before if times(painted)[name] != before[name]} == {kind.format("p9") for kind in kinds}


@pytest.fixture
def cases(folder):  # noqa: F811
    """Two cases as the published collection names them, and a painting alone."""
    cases = folder / "cases"
    cases.mkdir()
    for number, name in enumerate(("10", "9")):
        background = image(number)
        composite, mask = background.copy(), np.zeros(SIZE)
        composite[10:30, 10:35], mask[10:30, 10:35] = 0.5, 1
        for ending, picture in (("target", background), ("naive", composite), ("c_mask", mask)):
            write_image(cases / f"{name}_{ending}.png", picture)
    write_image(cases / "11_target.png", image(5))
    write_image(cases / "9_final.png", image(6))
    return cases


def test_a_folder_of_cases_is_harmonized(cases, painted, folder, capfd):  # noqa: F811
    assert run(folder, "harmonize", str(cases), "-o", str(painted), *SHORT) == 0
    assert names(painted) == {"9.png", "9.json", "10.png", "10.json"}
    files = [str(cases / f"9_{ending}.png") for ending in ("target", "naive", "c_mask")]
    assert run(folder, "harmonize", *files, "-o", "OUT", *SHORT, "--quiet") == 0
    np.testing.assert_array_equal(read_image(painted / "9.png"), read_image(folder / "out.png"))
    assert "passed over: 9_final.png, 11_target.png\n" in capfd.readouterr().err


def test_a_case_that_lacks_an_image_is_refused(cases, painted, folder, capfd):  # noqa: F811
    (cases / "9_c_mask.png").unlink()
    line = refused(folder, capfd, "harmonize", str(cases), "-o", str(painted), *SHORT)
    assert line.startswith("Expected an image 9_c_mask beside ")
    line = refused(folder, capfd, "harmonize", str(cases), "COMPOSITE", "-o", str(painted), *SHORT)
    assert "Expected BACKGROUND COMPOSITE MASK, or one folder of them alone. Received: BACKGROUND COMPOSITE" in line
    assert "MASK" in refused(folder, capfd, "harmonize", "BACKGROUND", "COMPOSITE", "-o", str(painted), *SHORT)


# What goes wrong


def test_a_failed_image_is_named_and_the_others_are_made(photos, painted, folder, capfd):  # noqa: F811
    (photos / "p9.jpg").write_text("no image")
    write_image(photos / "p11.png", image(4)[:12])
    assert run(folder, *stylize(photos, painted, "--quiet")) == 2
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("reproduce: error: p9: Not an image") and second.startswith(
        "reproduce: error: p11: Expected"
    )
    assert names(painted) == {"P.png", "P.json", "p10.png", "p10.json"}
    write_image(photos / "p9.jpg", image(1))
    (photos / "p11.png").unlink()
    before = times(painted)
    assert run(folder, *stylize(photos, painted, "--quiet")) == 0
    assert all(times(painted)[name] == before[name] for name in before) and "p9.png" in names(painted)


def test_a_fault_of_the_program_is_shown_and_the_others_are_made(photos, painted, folder, monkeypatch, capfd):  # noqa: F811
    from reproduce.solving import run as solving

    objective, calls = solving.Objective, []

    def sometimes(*arguments):
        calls.append(1)
        return np.zeros(3) + np.zeros(4) if len(calls) == 2 else objective(*arguments)

    monkeypatch.setattr(solving, "Objective", sometimes)
    assert run(folder, *stylize(photos, painted, "--quiet")) == 1
    err = capfd.readouterr().err
    assert "Traceback" in err and "could not be broadcast" in err and "reproduce: error: p9: not made\n" in err
    assert names(painted) == {"P.png", "P.json", "p10.png", "p10.json"}


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_keeps_what_is_finished(photos, painted, folder, monkeypatch, capfd, number, code):  # noqa: F811
    pressed = []

    def press_in_the_second():
        pressed.append(1)
        if len(pressed) == 2:
            signal.raise_signal(number)

    arguments = stylize(photos, painted, "--iterations", "6")
    with monkeypatch.context() as patch:
        pressing(patch, 3, press_in_the_second)
        assert run(folder, *arguments) == code
    assert f"{painted}: 1 of 3 images\n" in capfd.readouterr().err
    assert names(painted) == {"P.png", "P.json", "p9.png", "p9.json", "p9.checkpoint.npz"}
    assert reports(painted)["p9"]["interrupted"]
    before = times(painted)
    assert run(folder, *arguments, "--resume") == 0
    assert "went on after 3 iterations" in capfd.readouterr().err
    assert "p9.checkpoint.npz" not in names(painted) and len(names(painted)) == 6
    assert times(painted)["P.png"] == before["P.png"] and times(painted)["p9.png"] != before["p9.png"]


def test_mistakes_are_found_before_anything_is_made(photos, painted, folder, capfd):  # noqa: F811
    (folder / "empty").mkdir()
    (folder / "file").write_text("")

    def line(*arguments):
        return refused(folder, capfd, *arguments)

    assert f"a folder for what is made of {photos}, which is a folder. Received: " in line(
        *stylize(photos, folder / "x.png")
    )
    assert "which is a folder. Received: " in line(*stylize(photos, folder / "file"))
    for same in (photos, folder / "photos/../photos/"):
        assert "another folder for what is made than that of the images" in line(*stylize(photos, same))
    assert "Expected images in" in line(*stylize(folder / "empty", painted))
    assert "The output folder does not exist: " in line(*stylize(photos, folder / "nowhere" / "painted"))
    assert "--workers of 1 or more" in line(*stylize(photos, painted, "--workers", "0"))
    assert "Expected a folder of images for several --workers" in line(
        "stylize", "CONTENT", "STYLE", "-o", "OUT", "--workers", "2"
    )
    assert "No such file" in line("stylize", str(photos), str(folder / "none.png"), "-o", str(painted))
    assert "Not an image" in line("stylize", str(photos), str(photos / "notes.txt"), "-o", str(painted))
    assert "Expected an image P in" in line("stylize", str(photos), str(folder / "empty"), "-o", str(painted))
    write_image(photos / "p9.png", image(0))
    assert "one image called p9. Received: " in line(*stylize(photos, painted))


def test_results_that_would_replace_each_other_are_refused(photos, painted, folder, capfd):  # noqa: F811
    write_image(photos / "p9_stylized.png", image(0))
    line = refused(folder, capfd, "keep-details", str(photos), "STYLE", "MASK", "-o", str(painted))
    assert line.startswith("Expected images whose results have names of their own. Received: 2 of ")
    write_image(photos / "p9_0002.png", image(0))
    line = refused(folder, capfd, *stylize(photos, painted, "--save-every", "2"))
    assert "Expected images that --save-every leaves. Received: p9 and p9_0002" in line


# Several processes


def test_in_several_processes(photos, painted, folder, capfd):  # noqa: F811
    """The same images as in one, and the same of what goes wrong."""
    (photos / "bad.png").write_text("no image")
    other = folder / "other"
    assert run(folder, *stylize(photos, other, "--quiet")) == 2
    capfd.readouterr()
    assert run(folder, *stylize(photos, painted, "--workers", "2")) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("reproduce: error: bad: Not an image") == 1 and "Traceback" not in err
    assert "3 of 4 images, 1 failed\n" in err and "4 images: " in err
    assert names(painted) == names(other) and len(names(painted)) == 6
    for stem in ("P", "p9", "p10"):
        np.testing.assert_allclose(read_image(painted / f"{stem}.png"), read_image(other / f"{stem}.png"), atol=2 / 255)


def children(process):
    """The processes that another one has started, by Linux's account."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_worker(process):
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()


def wait_until(holds, process):
    until = time.monotonic() + 300
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def long_run(photos, painted, folder):  # noqa: F811
    """Two workers at work on the first two of three images."""
    arguments = stylize(
        photos, painted, "--iterations", "100000", "--workers", "2", "--checkpoint-every", "0.1", "--quiet"
    )
    arguments += ["--start", "content"]  # where a network without biases sees nothing, it is at its goal at once
    process = subprocess.Popen([*PROGRAM, *typed(folder, arguments)], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(list(painted.glob("*.checkpoint.npz"))) == 2, process)
    yield process
    process.kill()
    process.communicate()


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which processes there are")


@LINUX
def test_stopped_all_processes_keep_what_they_have(long_run, painted):
    workers = [child for child in children(long_run.pid) if is_worker(child)]
    long_run.send_signal(signal.SIGTERM)
    _, err = long_run.communicate(timeout=120)
    assert (long_run.returncode, err) == (143, "")
    assert {name.split(".")[0] for name in names(painted)} == {"P", "p9"} and len(names(painted)) == 6
    assert all(report["interrupted"] for report in reports(painted).values())
    assert len(workers) == 2 and not any(Path(f"/proc/{worker}").exists() for worker in workers)


@LINUX
def test_a_process_that_is_killed_costs_its_image_alone(long_run, painted):
    first = next(child for child in children(long_run.pid) if is_worker(child))
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: (painted / "p10.checkpoint.npz").exists(), long_run)  # another takes its place
    long_run.send_signal(signal.SIGINT)
    _, err = long_run.communicate(timeout=120)
    assert long_run.returncode == 130
    assert err.startswith("reproduce: error: ") and err.endswith(": its process was killed; was memory short?\n")
    assert len(reports(painted)) == 2


@LINUX
def test_without_the_first_process_the_others_end(long_run, painted):
    """After the image that they are at: here they are stopped in it."""
    workers = [child for child in children(long_run.pid) if is_worker(child)]
    long_run.kill()
    long_run.wait()
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    until = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(reports(painted)) == 2
