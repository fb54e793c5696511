"""An objective strip by strip is that of the whole: its terms, its gradient, and a run."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from test_objective import SMALL, STYLE_LOSSES, network, random_problem, soft_disc

from reproduce import VGG19, preset, stylize
from reproduce.applications.registry import STYLIZE
from reproduce.errors import InputError
from reproduce.images.geometry import Rectangle
from reproduce.losses import sliced
from reproduce.network.active import independent_parts
from reproduce.network.architecture import PIXELS, feature_shape, stride
from reproduce.network.strips import strips_of
from reproduce.presets import PAPER_BASE
from reproduce.settings import change
from reproduce.solving import memory
from reproduce.solving.memory import Limits
from reproduce.solving.objective import Objective
from reproduce.solving.strips import Cutting, StripEvaluation, bands_of, cells_of

SHAPE = (75, 91)  # of no whole cells of any layer
EVERYWHERE = np.ones(SHAPE, np.float32)
DISC = soft_disc(SHAPE, (50, 52), 30)  # its surroundings end at the image's lower border
FAR = np.maximum(soft_disc((70, 200), (30, 20), 26), soft_disc((70, 200), (40, 150), 30))
LEFT = EVERYWHERE * (np.arange(SHAPE[1]) < 60).astype(np.float32)
PROBLEMS = {
    "whole": random_problem(EVERYWHERE),
    "disc": random_problem(DISC),
    "large": random_problem(np.ones((149, 97), np.float32)),
    "two parts": random_problem(FAR),
    "two styles": random_problem(EVERYWHERE, style_masks=(LEFT, DISC)),
    "short": random_problem(EVERYWHERE),
    "short, two parts": random_problem(FAR),
    "matched again": replace(random_problem(EVERYWHERE), query=random_problem(EVERYWHERE, seed=1).content),
}
AT_ONCE = {"large": 100 * 97, "short": 1, "short, two parts": 1}  # pixels; of too few, what the grid allows
QUICK = change(SMALL, style_layers=("block2_conv1", "block3_conv1"), content_layers=("block3_conv1",))
CASES = {
    f"{place} {style_loss}": (place, {"style_loss": style_loss, "normalization": normalization})
    for place, normalization in (("whole", "relative"), ("disc", "mean"), ("two parts", "gatys"))
    for style_loss in STYLE_LOSSES
}
CASES |= {
    "two styles": ("two styles", {"style_loss": "gram", "normalization": "keras"}),
    "sums": ("whole", {"style_loss": "per_patch", "normalization": "sum"}),
    "average pooling": ("whole", {"style_loss": "gram", "pooling": "average"}),
    "patches of 5": ("disc", {"style_loss": "per_patch", "patch_size": 5}),
    "matched again": ("matched again", {"style_loss": "neighbors"}),
    "only variation": ("disc", {"style_weight": 0.0, "content_weight": 0.0}),
    "other layers": ("large", {"style_loss": "gram", "style_layers": ("block1_conv1", "block4_conv1")}),
}
CASES |= {  # strips to a pooling, the rest at once
    "whole, until block 1": ("whole", {"style_loss": "gram", "normalization": "gatys"}, "block1_pool"),
    "disc, until block 2": ("disc", {"style_loss": "per_patch"}, "block2_pool"),
    "two parts, until block 2": ("two parts", {"style_loss": "sliced"}, "block2_pool"),
    "two styles, until block 1": ("two styles", {"style_loss": "neighbors"}, "block1_pool"),
    "nothing until block 1": ("whole", {"style_loss": "gram", "tv_weight": 0.0}, "block1_pool"),
    "other layers, until block 3": ("large", {"style_layers": ("block1_conv1", "block4_conv1")}, "block3_pool"),
}
CASES |= {  # deep layers get nothing from some strips
    f"short {style_loss}": ("short", {"style_loss": style_loss, "pooling": pooling})
    for style_loss, pooling in zip(STYLE_LOSSES, 5 * ("max", "average"))
}
CASES |= {
    "short, two parts": ("short, two parts", {"style_loss": "neighbors"}),
    "short, until block 2": ("short", {"style_loss": "per_patch"}, "block2_pool", 3),
}
CASES |= {  # of what strips leave to the next, some is kept
    "whole, one of three": ("whole", {"style_loss": "gram"}, None, 3),
    "disc, only the first": ("disc", {"style_loss": "per_patch"}, None, 100),
    "two parts, one of two": ("two parts", {"style_loss": "neighbors"}, None, 2),
    "two parts, one of four": ("two parts", {"style_loss": "sliced"}, None, 4),
    "two styles, one of two, until block 1": ("two styles", {"style_loss": "gram"}, "block1_pool", 2),
}
CASES |= {  # columns
    f"columns {style_loss}": ("whole", {"style_loss": style_loss, "pooling": pooling}, None, keep_every, 40)
    for style_loss, pooling, keep_every in zip(STYLE_LOSSES, 5 * ("max", "average"), 5 * (1, 3))
}
CASES |= {
    "columns, two parts": ("two parts", {"style_loss": "neighbors"}, None, 2, 30),
    "columns, two styles": ("two styles", {"style_loss": "gram", "tv_weight": 3.0}, None, 1, 40),
    "columns, short": ("short", {"style_loss": "per_patch"}, None, 2, 50),
}


def both(name, precision="float32"):
    """The objective of a case at once, and in strips."""
    place, changes, *how = CASES[name]
    cutting = Cutting(AT_ONCE.get(place, 55 * 55), *how)
    settings = change(QUICK, **changes)
    extractor = network(settings.layers, settings.network.pooling, precision=precision)
    return [Objective(PROBLEMS[place], extractor, settings, cutting=how) for how in (None, cutting)]


def compare(name, precision="float32"):
    """Relative errors of a case, of two evaluations, of which the second is to know nothing of the first."""
    whole, cut = both(name, precision)
    assert isinstance(cut._evaluate, StripEvaluation) and not isinstance(whole._evaluate, StripEvaluation)
    errors = {"loss": 0.0, "terms": 0.0, "gradient": 0.0}
    for x in (whole.start, 1 - whole.start):
        loss, gradient, terms = whole(x)
        found, of_strips, others = cut(x)
        assert list(others) == list(terms)
        error = {
            "loss": abs(found - loss) / loss,
            "terms": max(abs(others[name] - terms[name]) / terms[name] for name in terms),
            "gradient": float(np.abs(of_strips - gradient).max() / np.abs(gradient).max()),
        }
        errors = {name: max(errors[name], error[name]) for name in errors}
    return errors


def all_comparisons():
    return {name: compare(name) for name in CASES}


@pytest.fixture(scope="module")
def errors(in_float64):
    return in_float64("test_strips.all_comparisons()")


@pytest.mark.parametrize("name", CASES)
def test_terms_and_gradient_are_those_of_the_whole_in_float64(errors, name):
    """Nothing is approximated: what is left is rounding."""
    assert max(errors[name].values()) < 1e-9


@pytest.mark.parametrize(
    "name", ["whole gram", "two parts matched", "disc per_patch", "disc neighbors", "short per_patch"]
)
def test_terms_and_gradient_are_those_of_the_whole_in_float32(name):
    assert max(compare(name).values()) < 1e-5


@pytest.mark.parametrize("name", ["whole sliced", "columns neighbors", "two styles, until block 1"])
def test_targets_that_quantiles_describe(name, monkeypatch):
    """Where there are too many features to hold one for each."""
    settings = change(QUICK, **CASES[name][1])
    exact = Objective(PROBLEMS[CASES[name][0]], network(settings.layers), settings)
    exact = exact(1 - exact.start)[2]
    monkeypatch.setattr(sliced, "QUANTILES", 300)
    assert max(compare(name).values()) < 1e-5
    described = both(name)[0]
    described = described(1 - described.start)[2]
    assert described != exact and described == pytest.approx(exact, rel=0.2)


@pytest.mark.parametrize("name", ["whole gram", "short gram"])
def test_strips_in_bfloat16(name):
    """As near as features of 8 bits allow: a kernel may round otherwise for another width."""
    assert max(compare(name, "bfloat16").values()) < 0.05


def test_what_is_not_kept_is_computed_again():
    """Of 19 strips one of 6 keeps what is left to it: before the last, 18 go down, and 5 of each 6 once more."""
    evaluation = both("short gram")[1]._evaluate
    assert len(evaluation._bands) == 19
    summarize, calls = evaluation._summarize, []
    evaluation._summarize = lambda *given: calls.append(1) or summarize(*given)
    for keep_every, expected in ((1, 18), (6, 18 + 15), (100, 18 + 17)):
        calls.clear()
        evaluation._keep_every = keep_every
        evaluation(np.zeros(3 * EVERYWHERE.size, np.float32))
        assert len(calls) == expected


def arrays_in(thing):
    """All arrays in nested containers, those that views show."""
    if isinstance(thing, np.ndarray):
        return [thing if thing.base is None else thing.base]
    inside = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else ()
    return [array for each in inside for array in arrays_in(each)]


def test_strips_hold_nothing_for_later():
    """What a strip is told, its targets among it, is made at its turn: all of them are as large as the image."""
    evaluation = both("columns neighbors")[1]._evaluate
    once = ("_content", "_terms", "_by_rows")  # the image, and targets: not for each strip
    held = [array for name, thing in vars(evaluation).items() if name not in once for array in arrays_in(thing)]
    assert len(held) > len(evaluation._bands) and sum(array.nbytes for array in held) < 1000


def test_every_cell_counts_once_and_is_known_by_then():
    """Of each layer of a part that does not start on the grid; with the halo, nothing beyond the part is seen."""
    part, shape, layers = Rectangle(13, 5, 403, 187), (407, 187), ("block1_conv2", "block3_conv1", "block4_conv1")
    halos = {"block3_conv1": 2, PIXELS: 1}
    bands = bands_of([part], shape, layers, halos, Cutting(128 * 187))
    assert len(bands) > 3 and max(band.pixels.area for band in bands) <= 128 * 187
    assert [band.pixels.top for band in bands] == [0, *(band.pixels.bottom for band in bands[:-1])]
    for layer, whole in cells_of(part, shape, layers).items():
        times = np.zeros(whole.shape, int)
        for band in bands:
            own, seen = band.own[layer], band.seen[layer]
            times[own.shift(-whole.top, -whole.left).slices] += 1
            assert seen == own.grow(halos.get(layer, 0)).meet(whole)
            known = band.pixels.bottom if layer == PIXELS else band.strip.brought[layer][1]
            assert seen.bottom <= known
        assert (times == 1).all()


@pytest.mark.parametrize("layers", [("block1_conv1",), ("block3_conv1", "block5_conv1"), ("block5_conv4",)])
@pytest.mark.parametrize("height, rows", [(1000, 200), (1001, 260), (640, 1), (200, 199)])
def test_strips_bring_every_row_once(layers, height, rows):
    strips = strips_of(height, rows, layers)
    assert strips[0].top == 0 and strips[-1].bottom == height and [strip.last for strip in strips].count(True) == 1
    most = max(rows, *map(stride, layers))
    assert all(0 < strip.bottom - strip.top <= most for strip in strips)
    for layer in layers:
        brought = [strip.brought[layer] for strip in strips]
        assert [first for first, _ in brought] == [0, *(end for _, end in brought[:-1])]
        assert brought[-1][1] == feature_shape((height, 1), layer)[0]
        assert all(first <= end for first, end in brought)


def test_what_strips_bring_by_hand():
    """block2_conv1 lags 1 + 1 pixels in block 1, and a row of its own: of 8 pixels, 6 after block 1, 3 pooled, 2."""
    first, second = strips_of(16, 8, ("block1_conv1", "block2_conv1"))
    assert first.brought == {"block1_conv1": (0, 7), "block2_conv1": (0, 2)}
    assert second.brought == {"block1_conv1": (7, 16), "block2_conv1": (2, 8)}
    assert strips_of(16, 2, ("block2_conv1",))[0].brought == {"block2_conv1": (0, 0)}


def test_cells_of_columns_by_hand():
    """Two columns of 24 pixels, on the grid of 4; each sees what the cells of block3_conv1 beside its own see."""
    whole, layers = Rectangle(0, 0, 40, 48), ("block1_conv1", "block3_conv1")
    left, right = bands_of([whole], (40, 48), layers, {"block3_conv1": 1}, Cutting(10_000, width=24))
    assert (left.own["block1_conv1"], right.own["block1_conv1"]) == ((0, 0, 40, 24), (0, 24, 40, 48))
    assert (left.own["block3_conv1"], right.own["block3_conv1"]) == ((0, 0, 10, 6), (0, 6, 10, 12))
    assert (left.seen["block3_conv1"], right.seen["block3_conv1"]) == ((0, 0, 10, 7), (0, 5, 10, 12))
    # 7 cells are 28 pixels; beyond them 4 of block3_conv1, 2 x 2 of the second block's, 2 of the first's.
    assert left.window.left == 0 and 28 + 4 + 4 + 2 <= left.window.right <= 28 + 4 + 4 + 2 + 3
    assert right.window.right == 48 and 20 - 10 - 3 <= right.window.left <= 20 - 10


def test_strips_are_as_few_as_fit():
    whole, layers = Rectangle(0, 0, 400, 300), ("block3_conv1",)

    def number(at_once):
        return len(bands_of([whole], (400, 300), layers, {}, Cutting(at_once)))

    assert len(bands_of([whole], (400, 300), layers)) == number(120_000) == 1
    assert number(119_999) == number(60_000) == 2
    assert number(30_000) == 4
    assert number(1) == 400 // 4  # the grid of block 3


def test_what_fits_is_not_cut():
    """A coarser scale than that which the cutting is made for."""
    problem, extractor = PROBLEMS["two parts"], network(QUICK.layers)
    parts = independent_parts(problem.free, QUICK.layers, QUICK.style.halo)
    pixels = sum(band.window.area for band in bands_of(parts, problem.free.shape, QUICK.layers))
    for at_once, cut in ((pixels, False), (pixels - 1, True)):  # one part after the other
        objective = Objective(problem, extractor, QUICK, cutting=Cutting(at_once))
        assert isinstance(objective._evaluate, StripEvaluation) == cut


# Within a limit of memory

RUN = change(
    PAPER_BASE, scale=1.0, iterations=2, style_layers=("block1_conv1", "block3_conv1"), content_layers=("block2_conv1",)
)


@pytest.fixture
def nothing_held(monkeypatch):
    """As if the process and a painting's features cost nothing, so that small images need strips."""
    for name in (
        "PROCESS_BYTES",
        "STRIPS_BYTES",
        "FORWARD_BYTES_PER_PIXEL",
        "STRIP_FORWARD_BYTES_PER_PIXEL",
        "COPIES_OF_FEATURES",
    ):
        monkeypatch.setattr(memory, name, 0)
    monkeypatch.setattr(memory, "FEWEST_ROWS", 16)


def test_a_run_in_strips_gives_what_a_run_at_once_gives(nothing_held, random):
    content, style = random.random((107, 131, 3), np.float32), random.random((70, 60, 3), np.float32)
    run = change(RUN, history=1, solver_precision="float32")  # of which nothing can be given up
    whole, cut = (stylize(content, style, run, network=VGG19(width=0.05), memory=limit) for limit in (None, 0.020))
    notice = "for memory, the image goes through the network in "
    assert [line.startswith(notice) for line in cut.report.notices] == [True] and not whole.report.notices
    initial, final = cut.report.loss["initial"], cut.report.loss["final"]
    assert initial["terms"] == pytest.approx(whole.report.loss["initial"]["terms"], rel=1e-5)
    assert final["total"] == pytest.approx(whole.report.loss["final"]["total"], rel=1e-3)
    assert np.abs(cut.image - whole.image).max() < 1e-2
    assert cut.report.settings == whole.report.settings


@pytest.mark.parametrize("limit, remembered, strips", [(0.026, 10, 1), (0.018, 1, 9)])
def test_l_bfgs_takes_less_where_nothing_else_fits(nothing_held, random, limit, remembered, strips):
    """Single precision first, then fewer gradients; all of it is said."""
    content = random.random((107, 131, 3), np.float32)
    result = stylize(content, content[:70], RUN, network=VGG19(width=0.05), memory=limit)
    kept, notices = result.report.settings["history"], " ".join(result.report.notices)
    assert remembered <= kept and (kept == 10) == (remembered == 10)
    assert result.report.settings["solver_precision"] == "float32"
    assert "for memory, L-BFGS is our own in single precision, not SciPy's in double" in notices
    assert (f"for memory, L-BFGS remembers {kept} gradients, not 10" in notices) == (kept < 10)
    assert ("strips" in notices) == (strips > 1)


def fitted(limits, size, settings):
    whole = Rectangle(0, 0, *size)
    return memory.fit(limits, memory.Canvas(whole.area, memory.PAINTING_BYTES), [whole], size, settings)


def test_what_fits_is_done_as_is_asked_for():
    """And what is asked for in single precision does not go back to double."""
    for settings in (PAPER_BASE, change(PAPER_BASE, solver_precision="float32", history=3)):
        assert fitted(Limits(8e9), (768, 1024), settings).settings == settings
        assert fitted(Limits(1.8e9), (768, 1024), settings).settings.solver.solver_precision == "float32"


@pytest.mark.parametrize("name", ["paper", "gatys"])
def test_twelve_megapixels_fit_into_six_gigabytes(name):
    """At full scale."""
    settings = preset(name, "stylize", scale=1.0)
    fitting = fitted(Limits(6e9), (3072, 4096), settings)
    assert fitting.memory_bytes <= 6e9 and fitting.settings.solver.solver_precision == "float32"


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0])
def test_the_plan_keeps_the_limit_or_says_what_would(scale):
    """Of 12 megapixels; what would fit does."""
    settings, size = change(PAPER_BASE, scale=scale), (3072, 4096)
    for limit in (3e9, 4e9, 6e9, 8e9, 12e9, 32e9):
        try:
            expected = STYLIZE.estimate(size, [(1, 1)], settings, limits=Limits(limit))
        except InputError as error:
            width, height = map(int, re.search(r"at most (\d+) x (\d+) within", str(error)).groups())
            smaller = change(settings, scale=scale * 0.99 * height / round(3072 * scale))
            expected = STYLIZE.estimate(size, [(1, 1)], smaller, limits=Limits(limit))
            assert width < 4096 * scale
        assert expected.memory_bytes <= limit


def test_more_memory_means_fewer_strips_and_less_work():
    settings = change(PAPER_BASE, scale=0.5)
    few, some, none = (
        STYLIZE.estimate((3072, 4096), [(1, 1)], settings, limits=Limits(limit)) for limit in (4e9, 6e9, math.inf)
    )
    assert few.strips > 1 and some.strips > 1 and none.strips == 1
    assert few.flops > some.flops > none.flops


def test_no_memory_is_enough_for_images_that_fill_it(random):
    content = random.random((64, 64, 3), np.float32)
    with pytest.raises(InputError, match="GB of memory for these images"):
        stylize(content, content, RUN, network=VGG19(width=0.05), memory=0.1)
    with pytest.raises(InputError, match="Expected a memory above 0 gigabytes"):
        stylize(content, content, RUN, network=VGG19(width=0.05), memory=0.0)


def test_the_memory_of_a_gpu_is_a_limit_too(monkeypatch):
    """Features are there, images and what L-BFGS remembers are not."""
    settings, size = change(PAPER_BASE, scale=1.0), (1536, 2048)
    free, of_gpu = (STYLIZE.estimate(size, [(1, 1)], settings, limits=Limits(gpu=gpu)) for gpu in (math.inf, 3e9))
    assert free.strips == 1 and of_gpu.strips > 1
    assert fitted(Limits(gpu=3e9), size, settings).settings == settings
    with pytest.raises(InputError, match=r"at least \d\.\d GB of GPU memory. Received: 0.6 GB"):
        STYLIZE.estimate(size, [(1, 1)], settings, limits=Limits(gpu=0.6e9))
    assert memory.memory_limits(4) == (4e9, math.inf)
    monkeypatch.setattr(memory, "gpu_memory_limit", lambda: 6e9)
    assert memory.memory_limits(4) == (4e9, 4e9) and memory.memory_limits(8) == (8e9, 6e9)
    assert memory.memory_limits(None).gpu == 6e9
