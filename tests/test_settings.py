"""The settings: the paper's numbers, what a preset means, and what is refused."""

import dataclasses
import json
from collections import Counter
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from reproduce.applications.registry import APPLICATIONS, PRESETS, find_application, preset
from reproduce.errors import InputError
from reproduce.losses import STYLE_LOSSES
from reproduce.losses.gram import Gram
from reproduce.losses.sliced import Sliced
from reproduce.presets import PAPER, PAPER_BASE, REFINED
from reproduce.settings import Mask, Settings, change, leaves

NAMES = ("harmonize", "stylize", "restyle-region")
LEAVES = list(leaves())


def test_the_applications():
    assert set(APPLICATIONS) == {*NAMES, "keep-details"}


def test_the_papers_harmonisation():
    """Paper 4.1: style on block3_conv1 ... block5_conv1 and content on block4_conv1, 1 : 0.05, at half the size."""
    paper = preset("paper", "harmonize")
    assert paper == Settings()
    assert paper.style.style_layers == ("block3_conv1", "block4_conv1", "block5_conv1")
    assert paper.content.content_layers == ("block4_conv1",)
    assert (paper.style.style_weight, paper.content.content_weight, paper.variation.tv_weight) == (1, 0.05, 0)
    assert (paper.image.scale, paper.network.pooling, paper.image.start) == (0.5, "max", "content")
    assert paper.style_loss == "matched" and paper.weighing.normalization == "mean" and paper.solver.bounds
    assert paper.style.patch_size == 3 and paper.style.rematch_every == 0


@pytest.mark.parametrize("application", ["stylize", "restyle-region"])
def test_the_papers_base_network(application):
    """Paper 3.2: "two images and one blank image", compared through Gram matrices; else as in harmonisation."""
    assert preset("paper", application) == change(Settings(), style_loss="gram", start="blank")


@pytest.mark.parametrize("application", NAMES)
def test_gatys(application):
    """Gatys et al. 2016, section 3: conv1_1 to conv5_1, content conv4_2; whole-image Gram matrices."""
    gatys = preset("gatys", application)
    assert gatys.style.style_layers == tuple(f"block{k}_conv1" for k in range(1, 6))
    assert gatys.content.content_layers == ("block4_conv2",)
    assert (gatys.weighing.normalization, gatys.style_loss) == ("relative", "gram")


@pytest.mark.parametrize("application", NAMES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_serves_every_application_and_survives_json(name, application):
    settings = preset(name, application)
    again = json.loads(json.dumps(settings.as_dict()))
    again |= {key: tuple(value) for key, value in again.items() if isinstance(value, list)}
    assert change(Settings(), **again) == settings
    assert change(REFINED, **again) == settings


def test_numpy_numbers_are_numbers_and_lists_are_no_tuples():
    settings = change(Settings(), iterations=np.int64(7), scale=np.float32(0.5), feather=1)
    assert settings == change(Settings(), iterations=7, scale=0.5, feather=1.0)
    assert json.dumps(settings.as_dict()) == json.dumps(change(Settings(), iterations=7, feather=1.0).as_dict())
    with pytest.raises(InputError, match="Expected style_layers of type tuple"):
        change(Settings(), style_layers=["block1_conv1"])


def test_unknown_application():
    with pytest.raises(InputError, match=r"Expected an application out of .*harmonize.*Received: harmonise"):
        preset("paper", "harmonise")


def test_unknown_preset():
    with pytest.raises(InputError, match=r"Expected a preset out of paper, .*Received: papers"):
        preset("papers", "stylize")


@pytest.mark.parametrize("name", PRESETS)
def test_an_application_is_spelled_as_its_command_or_as_its_function(name):
    assert preset(name, "restyle_region", scale=0.25) == preset(name, "restyle-region", scale=0.25)
    assert find_application("restyle_region") is find_application("restyle-region") is APPLICATIONS["restyle-region"]


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Settings().image = None
    with pytest.raises(FrozenInstanceError):
        Settings().image.scale = 1.0


def test_settings_compare_and_hash_by_value():
    assert len({Settings(), change(Settings(), scale=0.5), change(Settings(), scale=1.0)}) == 2


# Leaves


@pytest.mark.parametrize("leaf", [leaf for _, leaf, _ in LEAVES], ids=lambda leaf: leaf.name)
def test_every_setting_explains_itself(leaf):
    assert len(leaf.metadata["help"]) > 10
    assert leaf.default is not dataclasses.MISSING
    assert not leaf.metadata["choices"] or leaf.default in leaf.metadata["choices"]
    assert set(leaf.metadata["only"]) <= set(APPLICATIONS)


@pytest.mark.parametrize("kind", STYLE_LOSSES.values(), ids=STYLE_LOSSES.keys())
def test_leaf_names_are_unique(kind):
    """Of each style loss with all other groups: `change` need not be told the group."""
    settings = Settings(style=kind())
    names = [leaf.name for group in fields(settings) for leaf in fields(getattr(settings, group.name))]
    assert max(Counter(names).values()) == 1
    assert set(settings.as_dict()) == {*names, "style_loss"}


def test_leaves_are_all_there_are_each_once():
    names = Counter(leaf.name for _, leaf, _ in LEAVES)
    assert max(names.values()) == 1
    of_all = {name for kind in STYLE_LOSSES.values() for name in Settings(style=kind()).as_dict()}
    assert set(names) == of_all - {"style_loss"}
    for group, leaf, losses in LEAVES:
        having = [name for name, kind in STYLE_LOSSES.items() if any(own.name == leaf.name for own in fields(kind))]
        assert list(losses) == having and bool(having) == (group == "style")
        if group != "style":
            assert hasattr(getattr(Settings(), group), leaf.name)


def test_the_style_losses_that_share_a_leaf_mean_the_same_by_it():
    for _, leaf, losses in LEAVES:
        for loss in losses:
            own = next(own for own in fields(STYLE_LOSSES[loss]) if own.name == leaf.name)
            assert (own.default, own.metadata) == (leaf.default, leaf.metadata)


# Changes


def test_a_change_is_of_its_leaf_alone():
    changed = change(PAPER, iterations=50, patch_size=5, feather=0)
    assert PAPER.solver.iterations == 200  # it is a new value
    assert changed == replace(
        PAPER,
        solver=replace(PAPER.solver, iterations=50),
        style=replace(PAPER.style, patch_size=5),
        mask=Mask(feather=0.0),
    )
    assert change(PAPER) == PAPER == change(PAPER, style_loss="matched")


def test_another_style_loss_keeps_what_both_have():
    layers = ("block2_conv1", "block3_conv1")
    matched = change(PAPER, style_layers=layers, style_weight=3.0, patch_size=5, matching_memory=64, rematch_every=9)
    gram = change(matched, style_loss="gram")
    assert gram.style == Gram(style_layers=layers, style_weight=3.0)
    assert replace(gram, style=matched.style) == matched  # nothing else has changed
    sliced = change(matched, style_loss="sliced")
    assert sliced.style == Sliced(
        style_layers=layers, style_weight=3.0, patch_size=5, matching_memory=64, rematch_every=9
    )
    per_patch = change(change(sliced, match_once=True, beyond_matches=0.5), style_loss="per_patch")
    assert per_patch.style_loss == "per_patch"
    assert change(per_patch, style_loss="matched") == matched
    assert change(gram, style_loss="matched").style.patch_size == 3  # what Gram lacks is forgotten


def test_a_style_loss_and_its_own_leaves_change_together():
    changed = change(PAPER_BASE, style_loss="sliced", match_once=True, patch_size=5)
    assert changed.style == Sliced(match_once=True, patch_size=5)
    assert change(REFINED, style_loss="gram", style_weight=2.0).style.style_weight == 2
    with pytest.raises(InputError, match="of the style loss gram"):
        change(REFINED, style_loss="gram", match_once=True)


@pytest.mark.parametrize("loss, leaf, value, owners", [
    ("gram", "match_once", True, "which sliced, neighbors have"),
    ("matched", "beyond_matches", 0.5, "which sliced, neighbors have"),
    ("gram", "patch_size", 5, "which matched, per_patch, sliced, neighbors have"),
    ("gram", "rematch_every", 5, "which matched, per_patch, sliced, neighbors have"),
    ("sliced", "neighbor_weight", 0.5, "which neighbors has"),
])  # fmt: skip
def test_a_leaf_of_another_style_loss_is_refused_with_who_has_it(loss, leaf, value, owners):
    with pytest.raises(InputError) as refusal:
        change(change(PAPER, style_loss=loss), **{leaf: value})
    message = str(refusal.value)
    assert message == f"Expected a setting of the style loss {loss}. Received: {leaf}, {owners}"


@pytest.mark.parametrize("name", ["iteration", "style", "solver", "feather_", ""])
def test_an_unknown_leaf_is_refused(name):
    """The groups are no leaves."""
    with pytest.raises(InputError) as refusal:
        change(PAPER, **{name: 1})
    assert str(refusal.value) == f"Expected a setting. Received: {name}, which no group of settings has"


# Leaves that an application has no use for


@pytest.mark.parametrize("application, changes, owners", [
    ("stylize", {"feather": 1}, "which restyle-region, harmonize and keep-details have"),
    ("stylize", {"grow": 1}, "which harmonize and keep-details have"),
    ("restyle-region", {"grow": 1}, "which harmonize and keep-details have"),
    ("restyle_region", {"mask_mode": "max"}, "which harmonize and keep-details have"),
    ("harmonize", {"style_scale": 1.0}, "which stylize and restyle-region have"),
    ("stylize", {"adapt_content": True}, "which harmonize and keep-details have"),
])  # fmt: skip
def test_a_leaf_without_a_meaning_in_an_application_is_refused_with_who_has_it(application, changes, owners):
    with pytest.raises(InputError) as refusal:
        preset("paper", application, **changes)
    name = find_application(application).name
    assert str(refusal.value) == f"Expected a setting of {name}. Received: {next(iter(changes))}, {owners}"


@pytest.mark.parametrize("application", NAMES)
def test_every_other_leaf_may_be_changed(application):
    settings = preset("paper", application, style_loss="neighbors")
    for _, leaf, _ in LEAVES:
        only = leaf.metadata["only"]
        if not only or application in only:
            value = settings.as_dict()[leaf.name]
            assert preset("paper", application, style_loss="neighbors", **{leaf.name: value}) == settings


def test_preset_takes_changes():
    assert preset("paper", "harmonize", scale=1.0, style_loss="gram") == change(PAPER, scale=1.0, style_loss="gram")
    with pytest.raises(InputError, match="which sliced, neighbors have"):
        preset("paper", "stylize", match_once=True)


# Values


def test_layers_are_all_that_are_used_once_each_shallow_first():
    settings = change(
        Settings(), style_layers=("block4_conv1", "block2_conv1"), content_layers=("block4_conv1", "block3_conv4")
    )
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
    ("beyond_matches", -0.1),
    *[("neighbor_weight", value) for value in (-0.1, float("nan"), float("inf"))],
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
    with pytest.raises(InputError, match=rf"^Expected {name} .*Received: {value}$"):
        change(change(Settings(), style_loss="neighbors"), **{name: value})


@pytest.mark.parametrize("name", ["pooling", "normalization", "mask_mode", "start"])
def test_choices(name):
    choices = next(leaf for _, leaf, _ in LEAVES if leaf.name == name).metadata["choices"]
    assert len(choices) > 1
    for choice in choices:
        assert change(Settings(), **{name: choice}).as_dict()[name] == choice
    with pytest.raises(InputError, match=rf"Expected {name} to be one of .*, .*Received: nothing"):
        change(Settings(), **{name: "nothing"})


def test_style_losses():
    for loss in STYLE_LOSSES:
        settings = change(Settings(), style_loss=loss)
        assert settings.style_loss == settings.as_dict()["style_loss"] == loss
    with pytest.raises(InputError, match=r"Expected style_loss to be one of .*, .*Received: nothing"):
        change(Settings(), style_loss="nothing")


@pytest.mark.parametrize("name", ["style_layers", "content_layers"])
def test_layers_that_are_not_vgg19s(name):
    for layer in ("block4_conv5", "block6_conv1", "block4_pool", "relu4_1"):
        with pytest.raises(InputError, match=f"Expected a layer of VGG-19 .*Received: {layer}"):
            change(Settings(), **{name: (layer,)})


@pytest.mark.parametrize("name", ["style_layers", "content_layers"])
def test_a_layer_twice(name):
    with pytest.raises(InputError, match=f"Expected each of {name} once"):
        change(Settings(), **{name: ("block4_conv1", "block4_conv1")})


@pytest.mark.parametrize(
    "weights, message",
    [
        ((1.0,), "layer_weights for each of the 3 style layers, or none"),
        ((1, -1, 1), "layer_weights to be numbers of 0 or more"),
        ((1, float("nan"), 1), "layer_weights to be numbers of 0 or more"),
        (("1", "1", "1"), "layer_weights to be numbers of 0 or more"),
        ((0, 0, 0), "a weight above 0 among layer_weights"),
    ],
)
def test_layer_weights_that_are_none(weights, message):
    with pytest.raises(InputError, match=f"Expected {message}"):
        change(Settings(), layer_weights=weights)


@pytest.mark.parametrize("nothing", [
    {"style_weight": 0, "content_weight": 0},
    {"style_weight": 0, "content_layers": ()},
    {"content_weight": 0, "style_layers": ()},
    {"style_layers": (), "content_layers": ()},
])  # fmt: skip
def test_nothing_to_optimise(nothing):
    with pytest.raises(InputError, match=r"Expected .*(layer|weight)"):
        change(Settings(), **nothing)


@pytest.mark.parametrize("one", [
    {"style_weight": 0}, {"content_weight": 0}, {"style_layers": ()}, {"content_layers": ()},
    {"style_weight": 0, "content_weight": 0, "tv_weight": 1},
    {"scale": 1}, {"iterations": 0}, {"patch_size": 1}, {"coarse_to_fine": 16},
])  # fmt: skip
def test_the_limits_themselves_are_allowed(one):
    assert change(Settings(), **one).as_dict().items() >= one.items()


@pytest.mark.parametrize("layers", [("block9_conv1",), ("block3_conv1", "block3_conv1")])
def test_layers_of_neighbors_are_the_networks_each_once(layers):
    with pytest.raises(InputError, match=r"^Expected "):
        change(Settings(), style_loss="neighbors", neighbor_layers=layers)
