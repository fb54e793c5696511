"""The methods that are compared on a case, by the names that tables and figures call them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reproduce.settings import preset

from .materials import Case
from .runs import Runs

Made = tuple[np.ndarray, dict | None]  # an image, and the report of its run if it was run here


def naive(runs: Runs, case: Case) -> Made:
    """The object pasted as it is: the control."""
    return case.composite, None


def gatys(runs: Runs, case: Case) -> Made:
    """Gatys et al. 2016 on the whole composite, the painting being the style (the paper's figure 7)."""
    return _made(runs.stylize(f"{case.name}, gatys", case.composite, case.background, preset("gatys", "stylize")))


def base(runs: Runs, case: Case) -> Made:
    """The paper's own three-layer base network (section 3.2) on the whole composite."""
    return _made(runs.stylize(f"{case.name}, base", case.composite, case.background, preset("paper", "stylize")))


def paper(runs: Runs, case: Case) -> Made:
    """The paper's harmonisation, at half resolution."""
    return _made(runs.harmonize(case, preset("paper", "harmonize")))


def paper_full(runs: Runs, case: Case) -> Made:
    """The paper's harmonisation at full resolution."""
    return _made(runs.harmonize(case, replace(preset("paper", "harmonize"), scale=1.0)))


def refined(runs: Runs, case: Case) -> Made:
    """Beyond the paper: the `refined` preset, at full resolution."""
    return _made(runs.harmonize(case, preset("refined", "harmonize")))


def first_pass(runs: Runs, case: Case) -> Made | None:
    """The published result of Deep Painterly Harmonization's first pass, where at hand."""
    return (case.published["first_pass"], None) if "first_pass" in case.published else None


def final(runs: Runs, case: Case) -> Made | None:
    """The published final result of Deep Painterly Harmonization, where at hand."""
    return (case.published["final"], None) if "final" in case.published else None


def _made(result) -> Made:
    return result.image, result.report


METHODS: dict[str, Callable[[Runs, Case], Made | None]] = {
    method.__name__: method for method in (naive, gatys, base, paper, paper_full, refined, first_pass, final)
}
