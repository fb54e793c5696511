"""Tests of the materials: the layouts of folders, and fetching from a local HTTP server that misbehaves."""

import hashlib
import os
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from experiments.materials import dph, fetching, opening
from experiments.materials.cases import Case, group_by_case
from experiments.materials.fetching import Pin, fetch
from experiments.materials.opening import open_materials
from experiments.scenes import PASTED_SCENES
from reproduce import InputError, Stopped
from reproduce.files import WriteError

SOURCE_LAYOUT = {
    "background": "data/{}_target.jpg",
    "composite": "data/{}_naive.jpg",
    "mask": "data/{}_c_mask.jpg",
    "first_pass": "results/{}_inter_res.jpg",
    "final": "results/{}_final_res2.png",
}
FLAT_LAYOUT = {
    "background": "{}_target.jpg",
    "composite": "{}_naive.jpg",
    "mask": "{}_c_mask.jpg",
    "first_pass": "{}_first_pass.jpg",
    "final": "{}_final.png",
}
LEVELS = {"background": 40, "composite": 80, "mask": 255, "first_pass": 120, "final": 160}


def write_case(folder, name, layout=FLAT_LAYOUT, sizes=None, roles=LEVELS):
    """Writes flat grey images whose level tells which file was read; sizes are (width, height)."""
    for role in roles:
        path = folder / layout[role].format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = (sizes or {}).get(role, (24, 20))
        assert cv2.imwrite(str(path), np.full((height, width, 3), LEVELS[role], np.uint8))
    return folder


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- folders


@pytest.mark.parametrize("layout", [SOURCE_LAYOUT, FLAT_LAYOUT], ids=["source", "flat"])
@pytest.mark.parametrize("parent", ["", "dph"])
def test_folder_gives_every_image_its_part(tmp_path, layout, parent):
    write_case(tmp_path / parent, "4", layout)
    case = open_materials(str(tmp_path)).case("4")
    assert case.name == "4"
    assert case.background.shape == case.composite.shape == (20, 24, 3) and case.mask.shape == (20, 24)
    levels = {"background": case.background, "composite": case.composite, "mask": case.mask, **case.published}
    assert list(levels) == list(LEVELS)
    for role, image in levels.items():
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, LEVELS[role] / 255, atol=1.5 / 255)
        assert case.hashes[role] == digest((tmp_path / parent / layout[role].format("4")).read_bytes())
    assert set(case.hashes) == set(LEVELS)


def test_cases_are_in_natural_order_and_lone_paintings_are_none(tmp_path):
    for name in ("11", "3", "20", "4", "shield_2", "shield_10"):
        write_case(tmp_path, name, roles=("background", "composite", "mask"))
    write_case(tmp_path, "35", roles=("background",))
    assert open_materials(tmp_path).names() == ["3", "4", "11", "20", "shield_2", "shield_10"]


def test_published_results_are_optional(tmp_path):
    write_case(tmp_path, "boat", roles=("background", "composite", "mask", "final"))
    case = open_materials(tmp_path).case("boat")
    assert list(case.published) == ["final"]
    assert set(case.hashes) == {"background", "composite", "mask", "final"}


def test_other_files_and_other_suffixes(tmp_path):
    write_case(tmp_path, "boat", roles=("background", "mask"))
    cv2.imwrite(str(tmp_path / "boat_naive.PNG"), np.zeros((20, 24, 3), np.uint8))
    for other in (
        "boat_naive.json",
        "boat_c_mask_dilated.jpg",
        "._boat_naive.png",
        "_naive.png",
        "notes_naive",
        "x.jpg",
    ):
        (tmp_path / other).write_bytes(b"not an image")
    opened = open_materials(tmp_path)
    assert opened.names() == ["boat"]
    assert opened.case("boat").composite.max() == 0


def test_a_file_is_read_only_when_its_case_is_asked_for(tmp_path):
    write_case(tmp_path, "1")
    write_case(tmp_path, "2")
    (tmp_path / "2_target.jpg").write_bytes(b"not an image")
    opened = open_materials(tmp_path)
    opened.case("1")
    with pytest.raises((InputError, OSError), match=r"2_target\.jpg"):
        opened.case("2")


@pytest.mark.parametrize("role", ["composite", "mask"])
def test_sizes_that_differ_are_both_named(tmp_path, role):
    write_case(tmp_path, "4", sizes={role: (30, 17)})
    with pytest.raises(InputError, match=f"the background of case 4 24 x 20 and its {role} 30 x 17"):
        open_materials(tmp_path).case("4")


def test_published_result_of_another_size_is_left_out_with_a_warning(tmp_path):
    write_case(tmp_path, "4", sizes={"final": (30, 17)})
    with pytest.warns(UserWarning, match="4_final.png is 30 x 17, the painting 24 x 20"):
        case = open_materials(tmp_path).case("4")
    assert list(case.published) == ["first_pass"] and "final" not in case.hashes


def test_case_checks_published_sizes():
    image, mask = np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32)
    with pytest.raises(InputError, match="final 5 x 3"):
        Case("x", image, image, mask, {"final": image[:3]})


def bad_spec(tmp_path, kind):
    """A wrong `spec` of each kind, and what must be said about it."""
    if kind == "missing":
        return tmp_path / "nowhere", "nowhere"
    if kind == "file":
        (tmp_path / "file.jpg").write_bytes(b"")
        return tmp_path / "file.jpg", "file.jpg', no folder"
    if kind == "empty":
        return tmp_path, "CASE_naive"
    if kind == "no mask":
        return write_case(tmp_path, "4", roles=("background", "composite")), "4_c_mask"
    if kind == "no painting":
        return write_case(tmp_path, "4", roles=("composite", "mask")), "4_target"
    if kind == "twice":
        shutil.copy(write_case(tmp_path, "4") / "4_naive.jpg", tmp_path / "4_naive.png")
        return tmp_path, "one composite for case 4.*4_naive.jpg and .*4_naive.png"
    return "", "'demo', 'dph' or a folder"


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "no mask", "no painting", "twice", "no name"])
def test_bad_folder_is_one_line(tmp_path, kind):
    spec, message = bad_spec(tmp_path, kind)
    with pytest.raises((InputError, OSError), match=message) as caught:
        open_materials(spec)
    assert "\n" not in str(caught.value)


def test_unknown_case_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"one of 4\. Received: '5'"):
        open_materials(write_case(tmp_path, "4")).case("5")


def test_folder_with_files_of_dph_carries_its_licence(tmp_path, monkeypatch):
    write_case(tmp_path, "4")
    assert open_materials(tmp_path).licence != dph.LICENCE
    mask = Pin(digest((tmp_path / "4_c_mask.jpg").read_bytes()), 1)
    monkeypatch.setattr(dph, "pins", lambda: {"data/4_c_mask.jpg": mask})
    assert open_materials(tmp_path).licence == dph.LICENCE


def test_a_copy_of_dph_beside_the_checkout(materials):
    """Whichever cases lie there: they are DPH's own files, and each is whole."""
    opened = open_materials(materials)
    assert opened.licence == dph.LICENCE
    pins = dph.pins()
    of_dph = {str(number) for number in range(35)}
    assert opened.names() and set(opened.names()) <= of_dph
    for name in opened.names()[:3]:
        case = opened.case(name)
        assert case.background.shape[:2] == case.mask.shape
        assert case.hashes == {role: pins[SOURCE_LAYOUT[role].format(name)].sha256 for role in case.hashes}


# ---- the embedded scenes


def test_demo_case_is_drawn_when_asked_for_and_hashed(monkeypatch):
    drawn = []
    images = {
        role: np.full((20, 24, 3), level, np.float32) for role, level in [("background", 0.1), ("composite", 0.2)]
    }

    def pasted_scene(name):
        drawn.append(name)
        return SimpleNamespace(name=name, **images, mask=np.ones((20, 24), np.float32))

    opening._drawn.cache_clear()
    monkeypatch.setattr(opening, "PASTED_SCENES", ("sea", "hill"))
    monkeypatch.setattr(opening, "pasted_scene", pasted_scene)
    opened = open_materials("demo")
    assert opened.names() == ["sea", "hill"] and drawn == []
    case = opened.case("hill")
    assert drawn == ["hill"] and case.name == "hill" and case.published == {}
    assert case.background is images["background"] and case.composite is images["composite"] and case.mask.all()
    assert case.hashes == {
        **{role: digest(image.tobytes()) for role, image in images.items()},
        "mask": digest(np.ones(480, "<f4").tobytes()),
    }
    assert open_materials("demo").case("hill") is case and drawn == ["hill"]  # drawn once, for drawing takes seconds


def test_demo_lists_the_embedded_scenes():
    assert open_materials("demo").names() == list(PASTED_SCENES)


# ---- the pins


def test_pins_are_of_35_whole_cases():
    pins = dph.pins()
    cases = group_by_case(map(PurePosixPath, pins))
    assert list(cases) == [str(number) for number in range(35)]
    for name, files in cases.items():
        assert {role: str(path) for role, path in files.items()} == {
            r: p.format(name) for r, p in SOURCE_LAYOUT.items()
        }
    assert all(len(pin.sha256) == 64 and pin.size > 0 for pin in pins.values())
    assert pins["data/4_naive.jpg"] == ("a903b4eda3861aafd2be348b9cf9d290fbd240af77249bc7c3d5af7d89441e26", 216138)


# ---- fetching

GOOD = {"data/a.bin": b"painting" * 20_000, "results/b.bin": b"result" * 1000}
PINS = {path: Pin(digest(data), len(data)) for path, data in GOOD.items()}


class Repository:
    """What a local server holds, how it misbehaves for each path, and what it was asked."""

    def __init__(self, files):
        self.files, self.faults, self.asked = dict(files), {}, []
        self.closing = threading.Event()

    def answer(self, request):
        path = request.path.lstrip("/")
        self.asked.append(path)
        faults = self.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        if fault == "hang":
            return self.closing.wait(20)
        if fault == "404" or path not in self.files:
            return request.send_error(404)
        data = self.files[path]
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data if fault is None else data[: len(data) // 2])
        if fault == "hang in the middle":
            self.closing.wait(20)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, repository, *args):
        self.repository = repository
        super().__init__(*args)

    def do_GET(self):
        self.repository.answer(self)

    def log_message(self, *args):
        pass


@contextmanager
def serve(repository):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, repository))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        repository.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def quick_and_direct(monkeypatch):
    """No pause before the second try, little patience, no proxy between the test and its own server."""
    monkeypatch.setattr(fetching, "TIMEOUT", 0.3)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def repository():
    return Repository(GOOD)


@pytest.fixture
def url(repository):
    with serve(repository) as address:
        yield address


def held(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_fetch_and_progress(tmp_path, url, repository):
    calls = []
    fetch(PINS, url, tmp_path / "new" / "cache", lambda *call: calls.append(call))
    assert held(tmp_path / "new" / "cache") == GOOD
    assert repository.asked == list(GOOD)
    for path, data in GOOD.items():
        received = [so_far for name, so_far, _ in calls if name == path]
        assert received == sorted(set(received)) and received[-1] == len(data)
        assert {size for name, _, size in calls if name == path} == {len(data)}
    assert len([call for call in calls if call[0] == "data/a.bin"]) > 1  # 160 kB arrive in several steps


def test_fetch_goes_on_where_it_was(tmp_path, url, repository):
    repository.faults["results/b.bin"] = ["404", "404"]
    with pytest.raises(OSError):
        fetch(PINS, url, tmp_path)
    assert held(tmp_path) == {"data/a.bin": GOOD["data/a.bin"]}
    repository.asked.clear()
    fetch(PINS, url, tmp_path)
    assert held(tmp_path) == GOOD and repository.asked == ["results/b.bin"]
    fetch(PINS, url, tmp_path)
    assert repository.asked == ["results/b.bin"]


def test_damaged_file_in_the_cache_is_fetched_again(tmp_path, url, repository):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(GOOD["data/a.bin"][:-1])
    fetch(PINS, url, tmp_path)
    assert held(tmp_path) == GOOD


@pytest.mark.parametrize("fault", ["truncated", "404", "hang"])
def test_one_failure_is_tried_again(tmp_path, url, repository, fault):
    repository.faults["data/a.bin"] = [fault]
    fetch(PINS, url, tmp_path)
    assert held(tmp_path) == GOOD and repository.asked == ["data/a.bin", "data/a.bin", "results/b.bin"]


@pytest.mark.parametrize(
    "fault, message",
    [
        ("truncated", "connection closed before the whole file"),
        ("404", "answered 404 Not Found"),
        ("hang", "no answer within 0.3 s"),
        ("hang in the middle", "no answer within 0.3 s"),
        ("changed", "SHA-256 is not the pinned one"),
    ],
)
def test_failure_is_one_line_and_leaves_no_part(tmp_path, url, repository, fault, message):
    if fault == "changed":
        repository.files["data/a.bin"] = GOOD["data/a.bin"].replace(b"p", b"q", 1)
    else:
        repository.faults["data/a.bin"] = [fault, fault]
    start = time.perf_counter()
    with pytest.raises(OSError, match=message) as caught:
        fetch(PINS, url, tmp_path)
    assert time.perf_counter() - start < 3
    assert "\n" not in str(caught.value) and f"{url}data/a.bin" in str(caught.value)
    assert held(tmp_path) == {}


def test_no_server(tmp_path):
    with serve(Repository({})) as address:
        pass
    with pytest.raises(OSError, match="no connection to the server") as caught:
        fetch(PINS, address, tmp_path)
    assert "\n" not in str(caught.value) and held(tmp_path) == {}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Stopped])
def test_interruption_leaves_no_part(tmp_path, url, interruption):
    def interrupt(*call):
        raise interruption

    with pytest.raises(interruption):
        fetch(PINS, url, tmp_path, interrupt)
    assert held(tmp_path) == {}


def test_cache_that_cannot_be_made_is_one_line(tmp_path, url):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match=r"Could not write .*file/cache/data/a\.bin") as caught:
        fetch(PINS, url, tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_no_part(tmp_path, url):
    """A limit on the length of files does what a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(GOOD["data/a.bin"]) - 1, before[1]))
    try:
        with pytest.raises(WriteError, match=r"Could not write .*data/a\.bin: File too large") as caught:
            fetch(PINS, url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value) and held(tmp_path) == {}


def test_the_folder_of_fetched_files_is_the_user_s(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("REPRODUCE_CACHE", raising=False)
    assert dph.cache_folder().is_relative_to(tmp_path) and "reproduce" in dph.cache_folder().parts
    monkeypatch.setenv("REPRODUCE_CACHE", "~/elsewhere")
    assert dph.cache_folder() == tmp_path / "elsewhere"


@pytest.mark.parametrize("chosen", [None, "~/elsewhere"])
def test_without_a_home_no_folder_is_called_tilde(chosen, monkeypatch):
    """As in some containers, whose user has no HOME and no entry in the password file."""
    pwd = pytest.importorskip("pwd")

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("REPRODUCE_CACHE", raising=False)
    if chosen:
        monkeypatch.setenv("REPRODUCE_CACHE", chosen)
    assert os.path.expanduser("~") == "~"
    assert dph.cache_folder() == Path(tempfile.gettempdir(), "reproduce")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with two cases in the source's layout, pinned as if they were the real ones."""
    write_case(write_case(tmp_path / "server", "4", SOURCE_LAYOUT), "11", SOURCE_LAYOUT)
    files = held(tmp_path / "server")
    monkeypatch.setattr(dph, "pins", lambda: {path: Pin(digest(files[path]), len(files[path])) for path in files})
    monkeypatch.setenv("REPRODUCE_CACHE", str(tmp_path / "cache"))
    repository = Repository(files)
    with serve(repository) as address:
        monkeypatch.setattr(dph, "URL", address)
        yield repository


def test_dph_fetches_only_the_case_asked_for_and_once(tmp_path, server):
    opened = open_materials("dph")
    assert opened.names() == ["4", "11"] and server.asked == []
    case = opened.case("4")
    assert sorted(server.asked) == sorted(path.format("4") for path in SOURCE_LAYOUT.values())
    assert case.hashes["final"] == digest(server.files["results/4_final_res2.png"])
    np.testing.assert_allclose(case.composite, 80 / 255, atol=1.5 / 255)
    assert set(held(tmp_path / "cache" / "dph")) == set(server.asked)
    open_materials("dph").case("4")
    assert len(server.asked) == 5


def test_fetch_all_of_dph(tmp_path, server):
    calls = []
    files = dph.fetch_cases(progress=lambda *call: calls.append(call))
    assert sorted(server.asked) == sorted(server.files) and {call[0] for call in calls} == set(server.files)
    assert list(files) == ["4", "11"]
    assert files["11"]["mask"] == tmp_path / "cache" / "dph" / "data" / "11_c_mask.jpg"
    opened = open_materials(tmp_path / "cache")  # what was fetched is itself a folder of materials
    assert opened.names() == ["4", "11"] and opened.licence == dph.LICENCE


def test_unknown_case_of_dph_is_not_fetched(server):
    with pytest.raises(InputError, match=r"one of 4, 11\. Received: '5'"):
        open_materials("dph").case("5")
    assert server.asked == []
