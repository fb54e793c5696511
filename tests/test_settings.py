"""The settings: the paper's numbers, what a preset means, and what is refused."""

import dataclasses
import json
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from reproduce.settings import PRESETS, Settings, preset

APPLICATIONS = ("harmonize", "stylize", "restyle-region")


def test_the_papers_harmonisation():
    """Paper 4.1: style on block3_conv1 ... block5_conv1 and content on block4_conv1, 1 : 0.05, at half the size."""
    paper = preset("paper", "harmonize")
    assert paper == Settings()
    assert paper.style_layers == ("block3_conv1", "block4_conv1", "block5_conv1")
    assert paper.content_layers == ("block4_conv1",)
    assert (paper.style_weight, paper.content_weight, paper.tv_weight) == (1, 0.05, 0)
    assert (paper.scale, paper.pooling, paper.style_loss, paper.start) == (0.5, "max", "matched", "content")
    assert paper.normalization == "mean" and paper.patch_size == 3 and paper.rematch_every == 0 and paper.bounds


@pytest.mark.parametrize("application", ["stylize", "restyle-region"])
def test_the_papers_base_network(application):
    """Paper 3.2: "two images and one blank image", compared through Gram matrices; else as in harmonisation."""
    base = preset("paper", application)
    assert base == replace(Settings(), style_loss="gram", start="blank")


@pytest.mark.parametrize("application", APPLICATIONS)
def test_gatys(application):
    """Gatys et al. 2016, section 3: conv1_1 to conv5_1, content conv4_2, average pooling; whole-image Gram matrices."""
    gatys = preset("gatys", application)
    assert gatys.style_layers == tuple(f"block{k}_conv1" for k in range(1, 6))
    assert gatys.content_layers == ("block4_conv2",)
    assert (gatys.pooling, gatys.normalization, gatys.style_loss) == ("average", "gatys", "gram")


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_serves_every_application_and_survives_json(name, application):
    settings = preset(name, application)
    again = json.loads(json.dumps(settings.as_dict()))
    again |= {key: tuple(again[key]) for key in ("style_layers", "content_layers")}
    assert Settings(**again) == settings


def test_numpy_numbers_are_numbers_and_lists_are_no_tuples():
    settings = Settings(iterations=np.int64(7), scale=np.float32(0.5), feather=1)
    assert settings == Settings(iterations=7, scale=0.5, feather=1.0)
    assert json.dumps(settings.as_dict()) == json.dumps(Settings(iterations=7, feather=1.0).as_dict())
    with pytest.raises(ValueError, match="Expected style_layers of type tuple"):
        Settings(style_layers=["block1_conv1"])


def test_unknown_application():
    with pytest.raises(ValueError, match=r"Expected an application out of harmonize, .*Received: restyle_region"):
        preset("paper", "restyle_region")


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"Expected a preset out of paper, .*Received: papers"):
        preset("papers", "stylize")


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Settings().scale = 1.0


def test_settings_compare_and_hash_by_value():
    assert len({Settings(), replace(Settings(), scale=0.5), Settings(scale=1.0)}) == 2


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_setting_explains_itself(setting):
    assert len(setting.metadata["help"]) > 10
    assert setting.default is not dataclasses.MISSING
    assert not setting.metadata["choices"] or setting.default in setting.metadata["choices"]


def test_layers_are_all_that_are_used_once_each_shallow_first():
    settings = Settings(style_layers=("block4_conv1", "block2_conv1"), content_layers=("block4_conv1", "block3_conv4"))
    assert settings.layers == ("block2_conv1", "block3_conv4", "block4_conv1")


@pytest.mark.parametrize("name, value", [
    *[("patch_size", value) for value in (0, -1, 2, 4, 2.5)],
    *[("scale", value) for value in (0, -0.5, 1.01, float("nan"))],
    *[("style_scale", value) for value in (0, -1, float("inf"), float("nan"))],
    *[("style_weight", value) for value in (-1, float("nan"), float("inf"))],
    ("content_weight", -0.05),
    ("tv_weight", -1e-9),
    ("iterations", -1),
    ("rematch_every", -1),
    ("feather", -1),
    ("feather", float("nan")),
    ("grow", -1),
    ("tolerance", -1e-9),
    ("tolerance", float("nan")),
    ("coarse_to_fine", -1),
    ("coarse_to_fine", 5000),
    ("history", 0),
    ("matching_memory", 15),
    ("seed", -1),
    *[("smooth_colors", value) for value in (-1, 1001)],
    ("iterations", 10.0),
    ("feather", 1e9),
    ("grow", 40000),
    *[("strength", value) for value in (-0.1, 1.1, float("nan"))],
])  # fmt: skip
def test_impossible_numbers(name, value):
    with pytest.raises(ValueError, match=rf"Expected {name} .*Received: {value}"):
        Settings(**{name: value})


@pytest.mark.parametrize("name", ["pooling", "style_loss", "normalization", "mask_mode", "start"])
def test_choices(name):
    for choice in next(field for field in fields(Settings) if field.name == name).metadata["choices"]:
        assert getattr(Settings(**{name: choice}), name) == choice
    with pytest.raises(ValueError, match=rf"Expected {name} to be one of .*, .*Received: nothing"):
        Settings(**{name: "nothing"})


@pytest.mark.parametrize("name", ["style_layers", "content_layers"])
def test_layers_that_are_not_vgg19s(name):
    for layer in ("block4_conv5", "block6_conv1", "block4_pool", "relu4_1"):
        with pytest.raises(ValueError, match=f"Expected a layer of VGG-19 .*Received: {layer}"):
            Settings(**{name: (layer,)})


def test_a_layer_twice():
    with pytest.raises(ValueError, match="Expected each of style_layers once"):
        Settings(style_layers=("block4_conv1", "block4_conv1"))


@pytest.mark.parametrize("nothing", [
    {"style_weight": 0, "content_weight": 0},
    {"style_weight": 0, "content_layers": ()},
    {"content_weight": 0, "style_layers": ()},
    {"style_layers": (), "content_layers": ()},
])  # fmt: skip
def test_nothing_to_optimise(nothing):
    with pytest.raises(ValueError, match=r"Expected .*(layer|weight)"):
        Settings(**nothing)


@pytest.mark.parametrize("one", [
    {"style_weight": 0}, {"content_weight": 0}, {"style_layers": ()}, {"content_layers": ()},
    {"style_weight": 0, "content_weight": 0, "tv_weight": 1},
    {"scale": 1}, {"iterations": 0}, {"patch_size": 1}, {"coarse_to_fine": 16},
])  # fmt: skip
def test_the_limits_themselves_are_allowed(one):
    assert vars(Settings(**one)).items() >= one.items()
