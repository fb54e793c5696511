"""The page as a person uses it: Chromium, driven by Playwright, against a server whose runs have a small network."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from reproduce import read_image, write_image

pytest.importorskip("starlette", reason="the packages of the page are not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from page_server import SMALL, serving  # noqa: E402

from reproduce.page.server import STATIC  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt-get install chromium)"),
]
WAIT = 300_000  # milliseconds: runs load TensorFlow, on machines that do other things


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("runs"), SMALL) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page of its own at 1280 x 720, that no script fails on and that asks nobody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("request", lambda request: request.url.startswith((address, "blob:")) or failures.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not failures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The demonstration's pictures, made small: a painting, and a balloon before a plain backdrop."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("river", "balloon", "telephone", "night"):
        image = read_image(STATIC / f"demo/{name}.jpg")
        write_image(folder / f"{name}.png", cv2.resize(image, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA))
    return folder


def put(page, label, path):
    page.get_by_label(label).set_input_files(path)
    page.get_by_role("img", name=Path(path).name).wait_for()


def at(page, x, y):
    """Where a point of the picture, as shares of its sides, is on the screen."""
    box = page.locator(".stage .canvas").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page, *points):
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def said(page, text):
    """Waits until it is said of the selection; text may be a pattern."""
    page.locator(".said", has_text=text).wait_for()


def idle(page):
    """Waits until the server has answered."""
    page.locator(".busy").wait_for(state="detached")


def go(page, step):
    page.locator(".steps").get_by_role("button", name=step).click()


def set_iterations(page, number):
    page.locator("input[name=iterations]").fill(str(number))
    page.locator("input[name=iterations]").press("Tab")


def run_now(page):
    page.locator(".foot").get_by_role("button", name="Run").click()
    page.locator(".gallery aside h2").wait_for()


def state(page, text):
    page.locator("aside p.state", has_text=text).wait_for()


def selected(page):
    """The mask, as the server has it, and how large it is."""
    source = page.locator(".stage img.over").get_attribute("src").replace("shown.png", "mask.png")
    content = page.request.get(source if source.startswith("http") else page.url.split("#")[0].rstrip("/") + source)
    return cv2.imdecode(np.frombuffer(content.body(), np.uint8), 0) / 255


def test_from_two_pictures_to_a_result_that_the_command_line_gives_too(page, pictures, tmp_path):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    page.get_by_role("button", name="Next").click()
    said(page, "Nothing is selected yet")
    page.mouse.click(*at(page, 0.03, 0.03))  # the backdrop
    said(page, "% of the picture")
    page.get_by_role("button", name="Invert").click()
    idle(page)
    share = selected(page).mean()
    assert 0.15 < share < 0.4  # the balloon
    page.get_by_role("button", name="Next").click()
    page.locator(".placing .over:not([hidden])").wait_for()
    x = page.get_by_label("x", exact=True)
    before = int(x.input_value())
    drag(page, at(page, 0.5, 0.5), at(page, 0.6, 0.4))
    playwright.expect(x).not_to_have_value(str(before))
    assert int(x.input_value()) - before == pytest.approx(19, abs=2)  # a tenth of 192 pixels
    page.locator("svg g").press("ArrowRight")
    page.get_by_label("Mirror").check()
    idle(page)
    page.get_by_role("button", name="Next").click()
    page.get_by_role("radio", name="paper").check()
    page.locator(".plan", has_text="GB of memory").wait_for()
    set_iterations(page, 3)
    run_now(page)
    state(page, "done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Picture (PNG)").click()
    download.value.save_as(tmp_path / "downloaded.png")
    page.get_by_text("The same as a command line").click()
    place, *commands = page.locator("pre").inner_text().splitlines()
    folder = Path(shlex.split(place)[1])
    shutil.copytree(folder, tmp_path / "again", ignore=shutil.ignore_patterns("composite.png", "mask.png", "result.*"))
    for command in commands:
        subprocess.run(command, shell=True, cwd=tmp_path / "again", check=True, capture_output=True)
    content = (tmp_path / "downloaded.png").read_bytes()
    assert content == (tmp_path / "again/result.png").read_bytes()
    assert (folder / "background.png").read_bytes() == (pictures / "river.png").read_bytes()
    slider = page.get_by_label("Before and after")
    clip = "document.querySelector('img.before').style.clipPath"
    before = page.evaluate(clip)
    slider.focus()
    slider.press("End")
    assert page.evaluate(clip) != before and "inset(0px 0% 0px 0px)" in page.evaluate(clip)
    page.get_by_role("radio", name="4").check()
    page.locator(".canvas.pixels").wait_for()


def test_a_long_run_survives_a_reload_and_is_stopped(page, pictures):
    page.get_by_role("tab", name="Paint").click()
    put(page, "The picture to paint", pictures / "telephone.png")
    put(page, "The painting whose style it takes", pictures / "night.png")
    go(page, "Run")
    set_iterations(page, 5000)
    run_now(page)
    page.locator("aside .hint", has_text="iteration").wait_for()
    page.locator("img[src*='current.png']").wait_for()
    page.reload()
    page.locator("aside .hint", has_text="iteration").wait_for()
    page.locator(".curve").wait_for()
    page.get_by_role("button", name="Stop, keep the best so far").click()
    page.get_by_text("the best so far was kept").wait_for()
    page.get_by_role("link", name="Report").wait_for()


def test_what_was_chosen_survives_a_reload(page, pictures):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    go(page, "Select")
    page.mouse.click(*at(page, 0.03, 0.03))
    said(page, "% of the picture")
    before = page.locator(".said").inner_text()
    page.reload()
    said(page, before)


def test_four_corners_are_dragged_and_restyled(page, pictures):
    page.get_by_role("tab", name="Restyle").click()
    put(page, "The picture", pictures / "telephone.png")
    put(page, "The painting whose style the part takes", pictures / "night.png")
    go(page, "Region")
    shares = [(47 / 640, 221 / 480), (474 / 640, 155 / 480), (555 / 640, 317 / 480), (53 / 640, 411 / 480)]
    page.locator(".handle").first.wait_for()
    for number, share in enumerate(shares):
        box = page.locator(".handle").nth(number).bounding_box()
        drag(page, (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), at(page, *share))
    corners = [tuple(map(int, corner.split(","))) for corner in page.locator(".said").inner_text().split()]
    expected = [(192 * x, 144 * y) for x, y in shares]
    np.testing.assert_allclose(corners, expected, atol=2)
    page.locator(".handle").first.press("ArrowRight")
    go(page, "Run")
    set_iterations(page, 1)
    run_now(page)
    state(page, "done")


def test_brush_eraser_and_undo(page, pictures):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    go(page, "Select")
    page.get_by_role("radio", name="Brush").check()
    page.get_by_label("Radius").fill("6")
    drag(page, at(page, 0.3, 0.5), at(page, 0.7, 0.5))
    said(page, "% of the picture")
    drawn = selected(page)
    height, width = drawn.shape
    assert drawn[height // 2, width // 2] == 1 and drawn[height // 4, width // 2] == 0
    assert drawn.sum() == pytest.approx(0.4 * width * 12 + np.pi * 36, rel=0.2)
    page.get_by_role("radio", name="Eraser").check()
    drag(page, at(page, 0.5, 0.4), at(page, 0.5, 0.6))
    page.locator(".stroke").wait_for(state="detached")
    idle(page)
    assert selected(page)[height // 2, width // 2] == 0
    page.keyboard.press("Control+z")
    idle(page)
    np.testing.assert_array_equal(selected(page), drawn)
    page.get_by_role("button", name="Undo").click()
    said(page, "Nothing is selected yet")
    page.get_by_role("button", name="Redo").click()
    said(page, "% of the picture")


def test_polygon_lasso_box_and_scissors(page, pictures):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    go(page, "Select")
    corners = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]

    page.get_by_role("radio", name="Polygon").check()
    for corner in corners:
        page.mouse.click(*at(page, *corner))
    page.keyboard.press("Enter")
    said(page, re.compile(r"6[4-7] %"))
    page.get_by_role("radio", name="Lasso").check()
    drag(page, *(at(page, *corner) for corner in [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]))
    said(page, re.compile(r"3[6-8] %"))
    page.get_by_role("radio", name="Box").check()
    drag(page, at(page, 0.1, 0.05), at(page, 0.9, 0.95))
    said(page, re.compile(r"2\d %"))  # the balloon
    page.get_by_role("button", name="Clear").click()
    said(page, "Nothing")
    page.get_by_role("radio", name="Scissors").check()
    for corner in corners[:3]:
        page.mouse.click(*at(page, *corner))
        page.wait_for_timeout(300)
    page.mouse.click(*at(page, *corners[0]))  # on the first: it closes
    said(page, "% of the picture")


def test_scissors_show_the_line_along_edges_before_the_click(page, pictures):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    go(page, "Select")
    page.get_by_role("radio", name="Scissors").check()
    page.mouse.click(*at(page, 0.23, 0.4))  # on the balloon's left edge
    asked, held = [], []
    page.on("request", lambda request: request.url.endswith("/edges") and asked.append(request))
    page.route("**/edges", lambda route: held.append(route), times=1)
    with page.expect_request("**/edges"):
        page.mouse.move(*at(page, 0.5, 0.3))
    page.mouse.move(*at(page, 0.77, 0.4), steps=5)  # and across it
    with page.expect_request("**/edges") as newest:
        held[0].continue_()
    assert newest.value.post_data_json["points"][1] == pytest.approx([0.77 * 96, 0.4 * 104], abs=1)
    line = page.locator("svg polyline.shape")
    playwright.expect(line).to_have_attribute("points", re.compile(r"(\S+ ){20,}\S+"))
    assert len(asked) == 2  # one at a time, of all the places where the pointer was
    page.mouse.click(*at(page, 0.77, 0.4))
    page.mouse.move(*at(page, 0.5, 0.9))
    page.keyboard.press("Escape")
    playwright.expect(line).to_have_count(0)


def test_selecting_with_the_keyboard_alone(page, pictures):
    put(page, "The painting", pictures / "river.png")
    put(page, "A photograph with the object", pictures / "balloon.png")
    go(page, "Select")
    said(page, "Nothing is selected yet")

    def move(key, times):
        for _ in range(times):
            page.keyboard.press(key)

    page.locator(".stage svg").focus()
    move("Shift+ArrowLeft", 40)  # into a corner, of the backdrop
    move("Shift+ArrowUp", 40)
    page.get_by_text("Arrow keys move a crosshair").wait_for()
    page.keyboard.press("Space")
    said(page, re.compile(r"7\d %"))
    page.get_by_role("radio", name="Box").check()
    page.locator(".stage svg").focus()
    move("Shift+ArrowRight", 2)  # from there around the balloon
    page.keyboard.press("Space")
    move("Shift+ArrowRight", 14)
    move("Shift+ArrowDown", 18)
    page.locator("svg rect.line").wait_for()
    page.keyboard.press("Space")
    said(page, re.compile(r"2\d %"))  # the balloon
    playwright.expect(page.locator("svg rect.line")).to_have_count(0)


def test_files_that_are_no_pictures_are_refused_in_the_page(page, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes((pictures / "river.png").read_bytes()[:500])
    page.get_by_label("The painting").set_input_files(tmp_path / "broken.png")
    page.locator(".message.error", has_text="broken.png").wait_for()
    put(page, "The painting", pictures / "river.png")  # and the page goes on


def test_the_demonstration_is_one_click_away(page):
    page.get_by_role("button", name="Try it").click()
    page.locator(".placing .over:not([hidden])").wait_for()
    page.get_by_role("button", name="Next").click()
    page.locator(".plan", has_text="GB of memory").wait_for()
    assert page.locator(".foot").get_by_role("button", name="Run").is_enabled()


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768), (768, 1024)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(page, size, scheme):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    for tab in ("Harmonise", "Restyle", "Paint", "Runs"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for bar in page.locator(".steps:visible").all():
            assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == {
        "light": "rgb(246, 245, 242)", "dark": "rgb(25, 27, 31)"}[scheme]  # fmt: skip


def test_two_tabs_see_the_same_runs_and_keep_their_own_pictures(page, browser, address, pictures):
    put(page, "The painting", pictures / "river.png")
    other = page.context.new_page()
    other.goto(address)
    assert other.get_by_role("img", name="river.png").count() == 0
    stored = page.request.get(f"{address}/api/runs").json()
    for one in (page, other):
        one.get_by_role("tab", name="Runs").click()
        playwright.expect(one.locator(".runs button")).to_have_count(len(stored))
    page.get_by_role("tab", name="Harmonise").click()
    page.get_by_role("img", name="river.png").wait_for()
