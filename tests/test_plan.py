"""The plan: its counts against hand-worked and built networks, its estimates' order, and the command."""

import numpy as np
import pytest

from reproduce.applications.registry import APPLICATIONS
from reproduce.command_line import main
from reproduce.images.geometry import Rectangle
from reproduce.network.features import Extractor
from reproduce.presets import PAPER, PAPER_BASE
from reproduce.settings import change
from reproduce.solving.plan import seconds_per_evaluation, work


def whole(height, width):
    return Rectangle(0, 0, height, width)


def estimate(application, size, object_size, settings):
    return APPLICATIONS[application].estimate(size, object_size, settings)


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


def test_the_command_prints_every_application(capsys):
    assert main(["plan", "--size", "320x240", "--object", "100x80"]) == 0
    printed = capsys.readouterr().out
    for application in ("stylize", "restyle-region", "harmonize"):
        assert application in printed
    assert "160 x 120" in printed and "50 x 40" in printed


@pytest.mark.parametrize("size", ["320", "320x", "axb", "15x320", "-3x40"])
def test_a_bad_size_is_one_line(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plan", f"--size={size}"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("reproduce: error:")
