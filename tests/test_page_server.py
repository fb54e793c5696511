"""The page's server: who may ask, what may be uploaded, selections in steps, composites, and the queue of runs."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the packages of the page are not installed")

import httpx2
from page_server import FAKE, serving
from starlette.testclient import TestClient

from reproduce import preset, read_image, read_mask, write_image
from reproduce.applications.registry import APPLICATIONS
from reproduce.command_line import main, parser
from reproduce.images.regions import paste
from reproduce.images.selection import edge_path, select, select_along_edges, select_polygon, select_stroke
from reproduce.page import desk, server
from reproduce.page.server import application
from reproduce.page.store import Store, read_json, write_json

ADDRESS = "http://127.0.0.1:8760"
HEIGHT, WIDTH = 60, 80
ENDED = ("done", "stopped", "failed", "interrupted")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A painting, and a photograph of a red square on grey."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    write_image(folder / "painting.png", cv2.GaussianBlur(rng.random((HEIGHT, WIDTH, 3), np.float32), (0, 0), 2))
    photograph = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    photograph[20:40, 30:50] = (0.8, 0.2, 0.1)
    write_image(folder / "photograph.png", photograph)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for all tests that leave nothing behind that others would see."""
    folder = tmp_path_factory.mktemp("runs")
    with TestClient(application(folder, 8760, FAKE), base_url=ADDRESS) as client:
        client.folder = folder
        yield client


def upload(client, path):
    answer = client.post("/api/pictures", params={"name": path.name}, content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return answer.json()


def begun(client, path):
    """The address of a selection in an uploaded picture."""
    picture = upload(client, path)
    return "/api/selections/" + client.post("/api/selections", json={"picture": picture["id"]}).json()["id"], picture


def mask_at(client, address, state):
    return cv2.imdecode(np.frombuffer(client.get(f"{address}/{state['step']}/mask.png").content, np.uint8), 0)


def asked(client, files, **settings):
    """A harmonisation of the red square in the painting."""
    address, photograph = begun(client, files / "photograph.png")
    client.post(address, json={"kind": "click", "mode": "replace", "points": [[35, 25]], "tolerance": 0.1})
    painting = upload(client, files / "painting.png")
    pasted = {"object": photograph["id"], "selection": address.rsplit("/", 1)[1], "at": [40, 30], "scale": 1.2,
              "rotate": 20, "mirror": True}  # fmt: skip
    inputs = {"background": {"picture": painting["id"]}, "paste": pasted}
    return {"application": "harmonize", "preset": "paper", "settings": settings, "inputs": inputs, "name": "square"}


def ended(client, run, seconds=30):
    """The run when it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = client.get(f"/api/runs/{run['id']}").json()
        if found["state"] in ENDED:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


# Who may ask.


@pytest.mark.parametrize("headers", [
    {"host": "evil.example"},  # another name for 127.0.0.1: DNS rebinding
    {"host": "127.0.0.1:8761"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
])  # fmt: skip
@pytest.mark.parametrize("path", ["/api/runs", "/static/main.js", "/api/forms"])
def test_only_the_page_itself_may_ask(shared, headers, path):
    assert shared.get(path, headers=headers).status_code == 403
    assert shared.post("/api/runs", headers=headers, json={}).status_code == 403


def test_the_page_may_ask_and_links_to_it_work(shared):
    for headers in ({}, {"origin": ADDRESS}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        assert shared.get("/api/forms", headers=headers).status_code == 200
    page = shared.get("/", headers={"sec-fetch-site": "cross-site"})
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_nothing_is_fetched_from_another_host():
    for path in server.STATIC.rglob("*"):
        if path.suffix in (".js", ".css", ".html"):
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text and "https://" not in text, path


@pytest.mark.parametrize("path", [
    "/api/pictures/../../etc/passwd", "/api/pictures/..%2f..%2f", "/api/pictures/0123456789abcdef/shown.jpg",
    "/api/runs/..%2f..%2fetc/passwd", "/static/../server.py", "/static/..%2fserver.py", "/api/runs/nothing/run.json",
])  # fmt: skip
def test_nothing_else_is_served(shared, path):
    assert shared.get(path).status_code == 404


def test_a_run_serves_its_pictures_alone(shared, files):
    run = shared.post("/api/runs", json=asked(shared, files)).json()
    ended(shared, run)
    assert shared.get(f"/api/runs/{run['id']}/run.json").status_code == 404
    assert shared.get(f"/api/runs/{run['id']}/..%2f{run['id']}%2frun.json").status_code == 404
    assert shared.get(f"/api/runs/{run['id']}/result.png").status_code == 200


# What is uploaded.


def test_a_picture_is_kept_byte_for_byte_and_its_name_is_no_path(shared, files):
    content = (files / "painting.png").read_bytes()
    name = "../../<b>é.png"
    picture = shared.post("/api/pictures", params={"name": name}, content=content).json()
    assert (picture["name"], picture["width"], picture["height"]) == (name, WIDTH, HEIGHT)
    (kept,) = (shared.folder / ".page/pictures" / picture["id"]).glob("picture.p*")
    assert kept.name in ("picture.png", "picture.json")
    assert (kept.parent / "picture.png").read_bytes() == content
    assert shared.get(f"/api/pictures/{picture['id']}/shown.jpg").status_code == 200


@pytest.mark.parametrize(("content", "message"), [
    (b"no picture at all", "Not an image"),
    (b"", "Not an image"),
    (b"%PDF-1.4", "PDF"),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "Not an image"),
])  # fmt: skip
def test_what_is_no_picture_is_refused_and_not_kept(shared, content, message):
    before = list((shared.folder / ".page/pictures").iterdir())
    answer = shared.post("/api/pictures", params={"name": "holiday.png"}, content=content)
    assert answer.status_code == 400
    assert message in answer.json()["error"] and "holiday.png" in answer.json()["error"]
    assert str(shared.folder) not in answer.json()["error"]
    assert list((shared.folder / ".page/pictures").iterdir()) == before


def test_half_a_picture_is_refused(shared, files):
    content = (files / "painting.png").read_bytes()
    answer = shared.post("/api/pictures", params={"name": "half.png"}, content=content[: len(content) // 2])
    assert answer.status_code == 400 and "half.png" in answer.json()["error"]


def test_uploads_have_a_limit(shared, monkeypatch):
    monkeypatch.setattr(server, "LARGEST_UPLOAD", 1000)
    before = list((shared.folder / ".page/pictures").iterdir())
    for body in (bytes(1001), (part for part in [bytes(600), bytes(600)])):  # the latter does not say how long it is
        answer = shared.post("/api/pictures", content=body)
        assert answer.status_code == 400 and "a file of at most" in answer.json()["error"]
    assert list((shared.folder / ".page/pictures").iterdir()) == before


def test_too_many_pixels_are_refused(shared, tmp_path):
    """101 megapixels of nothing: a file of some kilobytes."""
    cv2.imwrite(str(tmp_path / "huge.png"), np.zeros((10100, 10000), np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])
    answer = shared.post("/api/pictures", content=(tmp_path / "huge.png").read_bytes())
    assert answer.status_code == 400 and "100 megapixels" in answer.json()["error"]


def test_a_desk_that_dies_is_replaced(tmp_path, files, monkeypatch):
    """Out of memory, or a codec that crashes: a message, and the next picture is taken."""
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        content = (files / "painting.png").read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(desk, "take", os._exit)
            answer = client.post("/api/pictures", content=content)
        assert answer.status_code == 400
        assert upload(client, files / "painting.png")["width"] == WIDTH


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b"{}", b'{"picture": 3}', b'{"picture": "../.."}'])
@pytest.mark.parametrize("path", ["/api/selections", "/api/composites", "/api/plan", "/api/runs"])
def test_requests_that_make_no_sense_are_refused(shared, path, body):
    answer = shared.post(path, content=body)
    assert answer.status_code in (400, 404) and answer.json()["error"]


# Selections.


def test_a_selection_is_what_the_library_selects(shared, files):
    address, _ = begun(shared, files / "photograph.png")
    image = read_image(files / "photograph.png")
    stroke = [[10.0, 10.0], [20.0, 12.0]]
    lasso = [[5, 5], [25, 5], [25, 30]]
    around = [[28, 18], [52, 20], [50, 44], [27, 41]]
    click = select(image, [(35, 25)], 0.1)
    drawn, shape = select_stroke(stroke, 4, (HEIGHT, WIDTH)), select_polygon(lasso, (HEIGHT, WIDTH))
    steps = [
        ({"kind": "click", "mode": "replace", "points": [[35, 25]], "tolerance": 0.1}, click),
        ({"kind": "stroke", "mode": "add", "points": stroke, "radius": 4}, np.maximum(click, drawn)),
        ({"kind": "undo"}, click),
        ({"kind": "redo"}, np.maximum(click, drawn)),
        ({"kind": "polygon", "mode": "subtract", "points": lasso}, np.minimum(np.maximum(click, drawn), 1 - shape)),
        ({"kind": "clear"}, np.zeros((HEIGHT, WIDTH))),
        ({"kind": "undo"}, np.minimum(np.maximum(click, drawn), 1 - shape)),
        ({"kind": "box", "mode": "replace", "points": [[25, 15], [55, 45]]}, click),
        ({"kind": "invert"}, 1 - click),
        ({"kind": "scissors", "mode": "replace", "points": around}, select_along_edges(image, around)),
    ]
    for operation, expected in steps:
        state = shared.post(address, json=operation).json()
        np.testing.assert_array_equal(mask_at(shared, address, state), np.round(255 * expected))
        assert state["share"] == pytest.approx(expected.mean(), abs=0.002)
    assert state["can_undo"] and not state["can_redo"]


def test_scissors_look_for_no_line_that_they_have_shown(tmp_path, files, monkeypatch):
    write_image(tmp_path / "mask.png", np.zeros((HEIGHT, WIDTH), np.float32))
    points, looked_for = [(28.0, 18.0), (52.0, 20.0), (50.0, 44.0)], []
    monkeypatch.setattr(desk, "edge_path", lambda image, ends: looked_for.append(ends) or edge_path(image, ends))
    picture = files / "photograph.png"
    desk.forget()
    for ends in pairwise(points):
        assert desk.edges_between(picture, list(ends)) == edge_path(read_image(picture), ends)
    operation = {"kind": "scissors", "mode": "replace", "points": points}
    desk.select_step(picture, tmp_path / "mask.png", tmp_path / "next.png", operation)
    assert looked_for == [[*ends] for ends in pairwise([*points, points[0]])]  # each once


def test_growing_and_shrinking(shared, files):
    address, _ = begun(shared, files / "photograph.png")
    shared.post(address, json={"kind": "click", "mode": "replace", "points": [[35, 25]], "tolerance": 0.1})
    areas = []
    for pixels in (2, -2, -3):
        state = shared.post(address, json={"kind": "grow", "pixels": pixels}).json()
        areas.append(int(np.count_nonzero(mask_at(shared, address, state))))
    assert areas[0] > 23 * 23 and areas[1] == 400 and areas[2] == 14 * 14
    assert shared.post(address, json={"kind": "grow", "pixels": 5000}).status_code == 400


def test_the_tolerance_changes_the_last_click(shared, files):
    address, _ = begun(shared, files / "photograph.png")
    click = {"kind": "click", "mode": "replace", "points": [[35, 25]], "tolerance": 0.1}
    first = shared.post(address, json=click).json()
    second = shared.post(address, json={**click, "tolerance": 1.0, "again": True}).json()
    assert first["share"] == pytest.approx(400 / (HEIGHT * WIDTH), abs=1e-6)
    assert second["share"] == pytest.approx(1)
    assert shared.post(address, json={"kind": "undo"}).json()["empty"]


def test_a_mask_can_be_loaded_and_one_of_another_size_is_refused(shared, files, tmp_path):
    address, _ = begun(shared, files / "photograph.png")
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[10:20, 10:20] = 1
    write_image(tmp_path / "mask.png", mask)
    write_image(tmp_path / "other.png", mask[:-1])
    load = {"kind": "mask", "mode": "add", "picture": upload(shared, tmp_path / "mask.png")["id"]}
    state = shared.post(address, json=load).json()
    np.testing.assert_array_equal(mask_at(shared, address, state), 255 * mask)
    answer = shared.post(address, json={**load, "picture": upload(shared, tmp_path / "other.png")["id"]})
    assert answer.status_code == 400 and "80 x 60 and other.png 80 x 59" in answer.json()["error"]
    assert shared.get(address).json() == state


def test_a_transparent_picture_is_selected_already(shared, tmp_path):
    rgba = np.ones((HEIGHT, WIDTH, 4), np.float32)
    rgba[:, :40, 3] = 0
    write_image(tmp_path / "cut.png", rgba)
    address, _ = begun(shared, tmp_path / "cut.png")
    assert shared.get(address).json()["share"] == 0.5


def test_the_balloon_to_try_it_with_is_told_from_its_backdrop(shared):
    """As the page does it: the backdrop around it, and that between its ropes."""
    address, _ = begun(shared, server.STATIC / "demo/balloon.jpg")
    constant = (server.STATIC / "work.js").read_text().split("DEMO_BACKDROP = ")[1].split(";")[0]
    backdrop = [list(map(int, point)) for point in re.findall(r"\[(\d+), (\d+)\]", constant)]
    assert len(backdrop) == 2
    shared.post(address, json={"kind": "click", "mode": "replace", "points": backdrop, "tolerance": 0.1})
    state = shared.post(address, json={"kind": "invert"}).json()
    mask = mask_at(shared, address, state)
    assert 0.2 < state["share"] < 0.3
    assert mask[170, 160] == 255 and not mask[:30].any() and not mask[:, :50].any() and mask[256, 160] == 0


@pytest.mark.parametrize("operation", [
    {}, {"kind": "magic"}, {"kind": "click"}, {"kind": "click", "mode": "replace", "points": "here", "tolerance": 0.1},
    {"kind": "box", "mode": "add", "points": [[1, 1], [2, 2]]}, {"kind": "polygon", "mode": "add", "points": [[1, 1]]},
    {"kind": "click", "mode": "or", "points": [[1, 1]], "tolerance": 0.1},
    {"kind": "mask", "mode": "add", "picture": "0123456789abcdef"},
])  # fmt: skip
def test_a_selection_that_cannot_be_is_refused_and_nothing_changes(shared, files, operation):
    address, _ = begun(shared, files / "photograph.png")
    before = shared.get(address).json()
    answer = shared.post(address, json=operation)
    assert answer.status_code in (400, 404) and answer.json()["error"]
    assert shared.get(address).json() == before


def test_a_click_on_twelve_megapixels_takes_little_work(tmp_path):
    """Half a second is wanted; on a machine that does other things, time of the processor is what can be held to it."""
    picture = tmp_path / "picture.jpg"
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8), (0, 0), 9)
    cv2.imwrite(str(picture), cv2.resize(image, (4000, 3000)))
    desk.begin_selection(picture, tmp_path / "0.png")
    click = {"kind": "click", "mode": "replace", "points": [[2000, 1500]], "tolerance": 0.2}
    desk.select_step(picture, tmp_path / "0.png", tmp_path / "1.png", click)
    began = time.process_time()
    desk.select_step(picture, tmp_path / "0.png", tmp_path / "2.png", click)
    assert time.process_time() - began < 1
    desk.forget()


# Composites, plans and forms.


def test_what_is_shown_while_placing_is_the_composite(shared, files):
    request = asked(shared, files)
    shown = shared.post("/api/composites", json=request).content
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(shown, np.uint8), 1), cv2.COLOR_BGR2RGB) / 255
    photograph = read_image(files / "photograph.png")
    mask = select(photograph, [(35, 25)], 0.1)
    expected, _ = paste(read_image(files / "painting.png"), photograph, mask, (40, 30), 1.2, 20, True)
    assert np.abs(shown - expected).mean() < 0.02  # JPEG


def test_the_plan_is_that_of_the_command_line(shared, files):
    plan = shared.post("/api/plan", json=asked(shared, files, scale=1.0)).json()
    assert plan["working"] == [WIDTH, HEIGHT]
    photograph = read_image(files / "photograph.png")
    _, placed = paste(read_image(files / "painting.png"), photograph, select(photograph, [(35, 25)], 0.1), (40, 30),
                      1.2, 20, True)  # fmt: skip
    expected = APPLICATIONS["harmonize"].estimate((HEIGHT, WIDTH), [], preset("paper", "harmonize", scale=1.0), placed)
    assert plan["memory"] == pytest.approx(expected.memory_bytes, rel=1e-3)


def test_a_setting_that_is_not_allowed_is_said_before_the_run(shared, files):
    for path in ("/api/plan", "/api/runs"):
        answer = shared.post(path, json=asked(shared, files, patch_size=4))
        assert answer.status_code == 400 and "patch_size odd and positive" in answer.json()["error"]


def test_forms_are_made_from_the_settings(shared):
    harmonize = shared.get("/api/forms").json()["applications"]["harmonize"]
    iterations = next(setting for setting in harmonize["settings"] if setting["name"] == "iterations")
    assert (iterations["kind"], iterations["first"]) == ("int", True)
    assert harmonize["presets"]["refined"]["iterations"] == 60
    assert "style_scale" not in {setting["name"] for setting in harmonize["settings"]}


# Runs.


def test_a_run_is_a_command_line_in_a_folder_of_its_own(shared, files):
    run = shared.post("/api/runs", json=asked(shared, files, iterations=3, keep_colors=True)).json()
    done = ended(shared, run)
    assert done["state"] == "done" and done["losses"] == [1, 1 / 2, 1 / 3]
    assert done["notices"] == ["This is no network."]
    folder = shared.folder / run["id"]
    assert (folder / "background.png").read_bytes() == (files / "painting.png").read_bytes()
    assert (folder / "object.png").read_bytes() == (files / "photograph.png").read_bytes()
    pasted, harmonized = done["typed"].splitlines()[1:]
    assert pasted.endswith("paste background.png object.png object_mask.png --at=40,30 --scale 1.2 --rotate 20 "
                           "--mirror -o composite.png --mask-output mask.png")  # fmt: skip
    assert harmonized.endswith("harmonize background.png composite.png mask.png -o result.png --preset paper "
                               "--iterations=3 --keep-colors")  # fmt: skip
    download = shared.get(f"/api/runs/{run['id']}/result.png?as=download")
    assert download.content == (folder / "result.png").read_bytes()
    assert "attachment" in download.headers["content-disposition"]
    assert shared.get(f"/api/runs/{run['id']}/result.png?as=small").headers["content-type"] == "image/jpeg"


def test_each_application_has_its_command_line(shared, files):
    address, photograph = begun(shared, files / "photograph.png")
    shared.post(address, json={"kind": "click", "mode": "replace", "points": [[35, 25]], "tolerance": 0.1})
    picture, mask = {"picture": photograph["id"]}, {"selection": address.rsplit("/", 1)[1]}
    style = {"picture": upload(shared, files / "painting.png")["id"]}
    wanted = {
        "stylize content.png style_1.png style_2.png --blend 1,2.5": {
            "content": picture, "style": [style, style], "blend": [1, 2.5]},
        "keep-details content.png style.png mask.png": {"content": picture, "style": style, "mask": mask},
        "restyle-region image.png style.png --corners 1,2 70,2.5 70,50 1,50 --background-style background_style.png": {
            "image": picture, "style": style, "corners": [[1, 2], [70, 2.5], [70, 50], [1, 50]],
            "background_style": style},
        "restyle-region image.png style.png --mask mask.png --also also_1.png also_1_mask.png": {
            "image": picture, "style": style, "mask": mask, "also": [[style, mask]]},
    }  # fmt: skip
    for words, inputs in wanted.items():
        request = {"application": words.split()[0], "preset": "paper", "settings": {}, "inputs": inputs}
        assert shared.post("/api/plan", json=request).json()["memory"] > 0
        done = ended(shared, shared.post("/api/runs", json=request).json())
        assert done["state"] == "done" and f" {words} -o result.png --preset paper" in done["typed"]
        made = parser.make_parser().parse_args(done["commands"][-1])
        assert made.output == "result.png"
    request["inputs"]["corners"] = [[1, 2], [70, 2], [70, 50], [1, 50]]
    assert "one of corners, mask" in shared.post("/api/runs", json=request).json()["error"]


@pytest.mark.parametrize(("seed", "message"), [
    (2, "Expected something else. Received: this"), (9, "The process was ended by SIGKILL (out of memory"),
])  # fmt: skip
def test_a_run_that_fails_says_why_and_the_next_is_computed(shared, files, seed, message):
    first = shared.post("/api/runs", json=asked(shared, files, seed=seed)).json()
    second = shared.post("/api/runs", json=asked(shared, files)).json()
    failed = ended(shared, first)
    assert failed["state"] == "failed" and message in failed["message"]
    assert ended(shared, second)["state"] == "done"


def test_a_run_that_is_killed_from_outside_says_so(shared, files):
    run = shared.post("/api/runs", json=asked(shared, files, iterations=500)).json()
    process = computing(shared, run)
    os.kill(process, signal.SIGKILL)
    assert "SIGKILL" in ended(shared, run)["message"]


def computing(client, run):
    """The number of the process that computes a run, once it does."""
    for _ in range(400):
        if client.get(f"/api/runs/{run['id']}").json()["progress"].get("share"):
            break
        time.sleep(0.05)
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "cwd").endswith(run["id"]):
                return int(path.name)
        except OSError:
            continue
    raise AssertionError("it does not compute")


def test_stopping_keeps_the_best_so_far_and_the_queue_goes_on(shared, files):
    first = shared.post("/api/runs", json=asked(shared, files, iterations=500)).json()
    waiting = shared.post("/api/runs", json=asked(shared, files, iterations=500)).json()
    last = shared.post("/api/runs", json=asked(shared, files)).json()
    computing(shared, first)
    assert shared.get(f"/api/runs/{waiting['id']}").json()["state"] == "queued"
    assert shared.post(f"/api/runs/{first['id']}/remove").status_code == 400  # it is computing
    shared.post(f"/api/runs/{waiting['id']}/stop")
    shared.post(f"/api/runs/{first['id']}/stop")
    stopped = ended(shared, first)
    assert stopped["state"] == "stopped" and "the best so far was kept" in stopped["message"]
    assert stopped["files"]["result"] == "result.png"
    assert ended(shared, waiting)["message"] == "It was taken out of the queue before it began."
    assert ended(shared, last)["state"] == "done"


def test_twenty_runs_wait_and_are_computed_in_their_order(tmp_path, files):
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        request = asked(client, files, iterations=1)
        runs = [client.post("/api/runs", json=request).json() for _ in range(20)]
        done = [ended(client, run, 60) for run in runs]
        assert {run["state"] for run in done} == {"done"}
        started = [run["started"] for run in sorted(done, key=lambda run: run["id"])]
        assert started == sorted(started)


def test_a_run_again_with_another_preset(shared, files):
    first = ended(shared, shared.post("/api/runs", json=asked(shared, files)).json())
    other = shared.post(f"/api/runs/{first['id']}/again", json={"preset": "gatys"}).json()
    assert ended(shared, other)["preset"] == "gatys" and "--preset gatys" in other["typed"]
    shared.post(f"/api/runs/{first['id']}/remove")
    assert shared.get(f"/api/runs/{first['id']}").status_code == 404
    assert ended(shared, other)["state"] == "done"  # it has files of its own
    assert shared.post(f"/api/runs/{other['id']}/again", json={"preset": "-o"}).status_code == 400


def test_what_the_server_left_is_taken_up_again(tmp_path, files):
    """As after its end: one was computing and has no result, one has one, one waits."""
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        request = asked(client, files)
        runs = [ended(client, client.post("/api/runs", json=request).json()) for _ in range(3)]
    states = ["computing", "computing", "queued"]
    for run, state in zip(runs, states):
        path = tmp_path / run["id"] / "run.json"
        write_json(path, read_json(path) | {"state": state})
    (tmp_path / runs[0]["id"] / "result.png").unlink()
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        found = [ended(client, run) for run in runs]
        assert [run["state"] for run in found] == ["interrupted", "stopped", "done"]
        assert "The server ended while this was computing" in found[0]["message"]
        again = client.post(f"/api/runs/{runs[0]['id']}/again", json={}).json()
        assert ended(client, again)["state"] == "done"


def test_ending_the_server_stops_what_computes(tmp_path, files):
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        run = client.post("/api/runs", json=asked(client, files, iterations=500)).json()
        computing(client, run)
    kept = read_json(tmp_path / run["id"] / "run.json")
    assert kept["state"] == "stopped" and (tmp_path / run["id"] / "result.png").exists()


# As a command.


def test_the_server_is_small_and_knows_no_tensorflow():
    code = (
        "import sys; from pathlib import Path; import reproduce.page.server;"
        "assert not {'tensorflow', 'keras'} & sys.modules.keys();"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 200_000  # kilobytes


def test_a_port_that_is_taken_and_missing_packages_are_one_line(tmp_path, capsys, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["page", "--port", port, "--no-browser", "--folder", str(tmp_path / "runs")]) == 2
    assert "a port that is free" in capsys.readouterr().err
    with Store(tmp_path / "runs").alone():
        assert main(["page", "--port", str(free_port()), "--no-browser", "--folder", str(tmp_path / "runs")]) == 2
    assert "a folder that no other page serves" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "reproduce.page.server")
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    assert main(["page"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'reproduce[page]'" in error and error.count("\n") == 1


def test_masks_and_reports_can_be_fetched(shared, files):
    run = ended(shared, shared.post("/api/runs", json=asked(shared, files)).json())
    report = shared.get(f"/api/runs/{run['id']}/{run['files']['report']}")
    assert json.loads(report.content)["application"] == "harmonize"
    mask = shared.folder / run["id"] / run["files"]["mask"]
    assert read_mask(mask).max() == 1


def test_an_upload_that_is_broken_off_leaves_nothing(tmp_path, files):
    with serving(tmp_path, FAKE) as address:
        port = int(address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as browser:
            browser.sendall(f"POST /api/pictures?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                            "Content-Length: 100000\r\n\r\n".encode() + bytes(1000))  # fmt: skip
            wait_until(lambda: list((tmp_path / ".page/pictures").glob("*/picture.png")))
        wait_until(lambda: not list((tmp_path / ".page/pictures").iterdir()))


def wait_until(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_that_is_killed_loses_nothing(tmp_path, files, request):
    """SIGKILL: what computed ends by itself with what it has, as nobody reads its progress; the next server says so."""
    port = free_port()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import uvicorn; from page_server import FAKE;"
        "from reproduce.page.server import application;"
        f"from pathlib import Path; uvicorn.run(application(Path({str(tmp_path)!r}), {port}, FAKE), port={port})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    request.addfinalizer(process.kill)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        wait_until(lambda: answers(client))
        run = client.post("/api/runs", json=asked(client, files, iterations=500)).json()
        waiting = client.post("/api/runs", json=asked(client, files)).json()
        computing(client, run)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
    assert children
    wait_until(lambda: not any(lives(child) for child in children))
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        assert "The server ended while this was computing" in ended(client, run)["message"]
        assert ended(client, waiting)["state"] == "done"


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(client):
    try:
        return client.get("/api/forms").status_code == 200
    except httpx2.TransportError:
        return False


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_results_of_an_earlier_server_still_have_their_story(tmp_path, files):
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        run = ended(client, client.post("/api/runs", json=asked(client, files)).json())
    report = {"application": "harmonize", "settings": {}, "trace": [{"loss": 3.0}, {"loss": 2.0}], "notices": ["Well."]}
    (tmp_path / run["id"] / "result.json").write_text(json.dumps(report))
    with TestClient(application(tmp_path, 8760, FAKE), base_url=ADDRESS) as client:
        found = client.get(f"/api/runs/{run['id']}").json()
    assert (found["state"], found["losses"], found["notices"]) == ("done", [3, 2], ["Well."])


def test_strokes_from_several_tabs_are_all_kept(shared, files):
    address, _ = begun(shared, files / "photograph.png")
    strokes = [{"kind": "stroke", "mode": "add", "points": [[10 * k + 5, 30]], "radius": 3} for k in range(7)]
    with ThreadPoolExecutor(7) as pool:
        list(pool.map(lambda stroke: shared.post(address, json=stroke), strokes))
    mask = mask_at(shared, address, shared.get(address).json())
    assert all(mask[30, 10 * k + 5] == 255 for k in range(7))
