"""The plan: its counts against hand-worked and built networks, its estimates' order, and the command."""

import numpy as np
import pytest

from reproduce import VGG19, harmonize, write_image
from reproduce.applications.registry import APPLICATIONS, HARMONIZE
from reproduce.command_line import main
from reproduce.images.arrays import scaled_shape
from reproduce.images.geometry import Rectangle
from reproduce.network.active import independent_parts
from reproduce.network.features import Extractor
from reproduce.presets import PAPER, PAPER_BASE, REFINED
from reproduce.settings import change
from reproduce.solving.memory import forward_bytes
from reproduce.solving.plan import seconds_per_evaluation, work
from reproduce.solving.run import stages


def whole(height, width):
    return Rectangle(0, 0, height, width)


def estimate(application, size, object_size, settings):
    return APPLICATIONS[application].estimate(size, [object_size], settings)


def test_work_of_the_first_layer_by_hand():
    """16 x 16 positions, 3 x 3 x 3 inputs, 64 outputs, a multiplication and an addition each, there and back."""
    flops, activation_bytes = work((16, 16), whole(16, 16), ("block1_conv1",))
    assert flops == 16 * 16 * 27 * 64 * 2 * 2
    assert activation_bytes == 16 * 16 * 64 * 4


def test_work_follows_the_built_network():
    extractor = Extractor(PAPER.layers)
    shape, values = (1, 48, 64, 3), 0
    for operation, layer in extractor.steps:
        shape = layer.compute_output_shape(shape)
        values += np.prod(shape) if operation.kind == "convolution" else 0
    assert work((48, 64), whole(48, 64), PAPER.layers).activation_bytes == 4 * values


def test_work_follows_the_object_not_the_canvas():
    on_small = work((512, 512), Rectangle(192, 192, 320, 320), PAPER.layers)
    on_large = work((4096, 4096), Rectangle(1984, 1984, 2112, 2112), PAPER.layers)
    assert on_small == on_large
    assert on_small.flops < work((512, 512), whole(512, 512), PAPER.layers).flops / 4


def test_estimates_grow_with_the_image_and_the_object():
    small = estimate("harmonize", (700, 700), (100, 100), PAPER)
    assert small.working_shape == (350, 350)
    assert estimate("harmonize", (700, 700), (300, 300), PAPER).flops > small.flops
    assert estimate("harmonize", (3000, 4000), (100, 100), PAPER).memory_bytes > small.memory_bytes
    assert estimate("stylize", (700, 700), (100, 100), PAPER_BASE).flops > small.flops


def test_a_restyled_region_costs_what_its_size_costs():
    region = estimate("restyle-region", (1400, 1400), (300, 400), PAPER_BASE)
    assert region.working_shape == (150, 200)
    assert region.flops == estimate("stylize", (300, 400), (1, 1), PAPER_BASE).flops


def test_features_of_shallow_layers_take_more_memory():
    shallow = change(PAPER, style_layers=("block1_conv1",), content_layers=("block4_conv1",))
    deep = change(shallow, style_layers=("block3_conv1",))
    bytes_of = [estimate("harmonize", (512, 640), (40, 40), settings).memory_bytes for settings in (shallow, deep)]
    outputs = 4 * (64 - 256 / 4**2)  # bytes a pixel of block1_conv1's features over those of block3_conv1's
    assert bytes_of[0] - bytes_of[1] == pytest.approx(2 * outputs * (512 * 640) * (0.5 * 0.5))


def test_the_time_is_that_of_all_scales():
    plain = change(PAPER_BASE, scale=1.0, iterations=100)
    fine = estimate("stylize", (640, 640), (1, 1), plain)
    staged = estimate("stylize", (640, 640), (1, 1), change(plain, coarse_to_fine=1))
    coarse = estimate("stylize", (640, 640), (1, 1), change(plain, scale=0.5))
    assert staged.seconds(1e11) == pytest.approx(fine.seconds(1e11) + coarse.seconds(1e11))
    assert fine.seconds(1e11) == pytest.approx(100 * seconds_per_evaluation(fine.flops, 1e11))


def test_a_machine_twice_as_fast_takes_less_time():
    expected = estimate("stylize", (700, 700), (1, 1), PAPER_BASE)
    assert expected.seconds(2e11) < expected.seconds(1e11)


# Several objects


def squares(shape, side, *corners):
    """A mask of squares whose top left corners these are."""
    mask = np.zeros(shape, np.float32)
    for top, left in corners:
        mask[top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize("settings", [PAPER, REFINED], ids=["paper", "refined"])
def test_objects_that_lie_far_apart_cost_their_sum(settings):
    harmonize = APPLICATIONS["harmonize"]
    one, other = (estimate("harmonize", (3000, 4000), size, settings) for size in ((100, 200), (300, 150)))
    both = harmonize.estimate((3000, 4000), [(100, 200), (300, 150)], settings)
    assert both.flops == one.flops + other.flops
    assert [flops for _, flops in both.stages] == [a + b for (_, a), (_, b) in zip(one.stages, other.stages)]
    assert both.seconds(1e11) < one.seconds(1e11) + other.seconds(1e11)  # what a call takes beside is there once
    assert both.memory_bytes < one.memory_bytes + other.memory_bytes


def test_the_memory_of_an_evaluation_is_that_of_all_objects():
    """Where there are so many that they take more than the painting's features."""
    harmonize = APPLICATIONS["harmonize"]
    memory = [harmonize.estimate((3000, 4000), [(1500, 1500)] * count, PAPER).memory_bytes for count in (2, 3, 4)]
    assert memory[2] - memory[1] == pytest.approx(memory[1] - memory[0]) and memory[1] > memory[0] + 1e9


def test_a_large_object_is_matched_in_the_workspace_that_is_allowed():
    """Beside the painting's strip; less where there is less to compare; nothing for losses without matches."""
    for side, added in ((1000, 448e6), (40, 0)):
        less, more = (
            forward_bytes(side**2, (3000, 4000), change(PAPER, matching_memory=megabytes)) for megabytes in (64, 512)
        )
        assert more - less == pytest.approx(added, abs=1)
    less, more = (forward_bytes(1e6, (3000, 4000), change(PAPER, style_loss=loss)) for loss in ("gram", "matched"))
    assert more - less >= 512e6


@pytest.mark.parametrize("settings", [PAPER, REFINED, change(PAPER, scale=1.0)], ids=["paper", "refined", "whole"])
def test_a_square_in_a_mask_costs_what_its_size_costs(settings):
    mask, harmonize = squares((1600, 2400), 160, (720, 1120)), APPLICATIONS["harmonize"]
    by_size = harmonize.estimate((1600, 2400), [(160, 160)], settings)
    by_mask = harmonize.estimate((1600, 2400), [(1, 1)], settings, mask)
    assert by_mask.flops == by_size.flops and by_mask.memory_bytes == by_size.memory_bytes
    elsewhere = harmonize.estimate((1600, 2400), [(1, 1)], settings, np.roll(mask, (331, -213), (0, 1)))
    assert elsewhere.flops == pytest.approx(by_size.flops, rel=0.1)  # on another place of the poolings' grid


def test_objects_in_a_mask_cost_their_sum_or_what_lies_between_too():
    harmonize = APPLICATIONS["harmonize"]
    one, far, near = (
        harmonize.estimate((1600, 2400), [(1, 1)], PAPER, squares((1600, 2400), 160, *corners)).flops
        for corners in (((160, 160),), ((160, 160), (1280, 2080)), ((160, 160), (420, 420)))
    )
    assert far == pytest.approx(2 * one, rel=0.05)
    assert near > 2.5 * one


@pytest.mark.parametrize("application", ["stylize", "restyle-region"])
def test_masks_and_further_objects_mean_nothing_to_whole_images_and_regions(application):
    settings = PAPER_BASE
    one = estimate(application, (700, 900), (100, 200), settings)
    assert APPLICATIONS[application].estimate((700, 900), [(100, 200), (50, 50)], settings) == one
    mask = np.zeros((700, 900), np.float32)
    mask[100:200, 300:500] = 1
    assert APPLICATIONS[application].estimate((700, 900), [(1, 1)], settings, mask) == one


@pytest.mark.parametrize("settings, shape", [(PAPER, (600, 840)), (REFINED, (300, 420))], ids=["paper", "refined"])
def test_the_plan_knows_the_parts_that_a_run_has(monkeypatch, settings, shape):
    """Rectangle by rectangle, at each scale."""
    random, mask = np.random.default_rng(0), squares(shape, 30, (10, 12), (shape[0] - 40, shape[1] - 40))
    background, composite = random.random((2, *shape, 3), np.float32)
    found = []

    def spy(*arguments):
        found.append(independent_parts(*arguments))
        return found[-1]

    settings = change(settings, iterations=1)
    monkeypatch.setattr("reproduce.solving.objective.independent_parts", spy)
    harmonize(background, composite, mask, settings, network=VGG19(width=0.03))
    expected = HARMONIZE.extent(shape, [], mask, settings)
    planned = [expected.parts(scaled_shape(shape, stage.scale)) for stage in stages(settings)]
    assert found == planned and {len(parts) for parts in found} <= {1, 2} and len(found[-1]) == 2


# The command


def test_the_command_prints_every_application(capsys):
    assert main(["plan", "--size", "320x240", "--object", "100x80"]) == 0
    printed = capsys.readouterr().out
    for application in ("stylize", "restyle-region", "harmonize"):
        assert application in printed
    assert "160 x 120" in printed and "50 x 40" in printed


def planned(capsys, *arguments):
    """The numbers that the command prints for harmonize; its speed is that of a machine that is always the same."""
    assert main(["plan", *arguments]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("harmonize"))
    return line.split()[1:]


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.setattr("reproduce.command_line.commands.matrix_product_speed", lambda: 1e9)


def test_the_command_takes_several_objects(capsys, speed):
    one, two, other = (
        float(planned(capsys, "--size", "4000x3000", *(f"--object={size}" for size in sizes))[5])
        for sizes in (["100x80"], ["100x80", "60x300"], ["60x300"])
    )
    assert two == pytest.approx(one + other, abs=0.03)  # two decimals of each


def test_the_command_takes_a_mask(capsys, speed, tmp_path):
    write_image(tmp_path / "mask.png", squares((800, 1200), 160, (320, 520)))
    mask = ["--mask", str(tmp_path / "mask.png")]
    by_size = planned(capsys, "--size", "1200x800", "--object", "160x160")
    assert planned(capsys, *mask) == planned(capsys, "--size", "1200x800", *mask) == by_size
    write_image(tmp_path / "mask.png", squares((800, 1200), 60, (200, 200), (540, 940)))
    two = planned(capsys, "--size", "1200x800", "--object", "60x60", "--object", "60x60")
    assert float(planned(capsys, *mask)[5]) == pytest.approx(float(two[5]), rel=0.1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Expected --size WxH, or --mask FILE. Received: neither"),
        (["--object", "100x80"], "Expected --size WxH, or --mask FILE. Received: neither"),
        (["--size", "1000x800", "--mask", "MASK"], "Expected a mask of 1000 x 800. Received: one of 1200 x 800"),
        (["--object", "100x80", "--mask", "MASK"], "not allowed with argument"),
        (["--mask", "EMPTY"], "Expected a mask that selects something. Received: an empty mask"),
        (["--mask", "nowhere.png"], "No such file: nowhere.png"),
    ],
)
def test_a_plan_that_cannot_be_made_is_one_line(capsys, tmp_path, arguments, message):
    images = {"MASK": squares((800, 1200), 60, (20, 20)), "EMPTY": np.zeros((800, 1200))}
    for name, image in images.items():
        write_image(tmp_path / f"{name}.png", image)
    typed = [str(tmp_path / f"{word}.png") if word in images else word for word in arguments]
    try:
        code = main(["plan", *typed])
    except SystemExit as exit:
        code = exit.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("reproduce: error: ") and message in err


def test_the_command_says_what_would_fit_into_a_memory(capsys, speed):
    assert main(["plan", "--size", "4096x3072", "--scale", "1", "--memory", "3.5", "--object", "300x200"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("stylize"))
    assert "Expected a working size of at most" in line and line.endswith("Received: 4096 x 3072")
    tiles = planned(capsys, "--size", "4096x3072", "--scale", "0.5", "--memory", "4", "--object", "2600x2000")[-1]
    assert int(tiles) > 1


@pytest.mark.parametrize("size", ["320", "320x", "axb", "15x320", "-3x40"])
def test_a_bad_size_is_one_line(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plan", f"--size={size}"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("reproduce: error:")
