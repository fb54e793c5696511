"""Gram matrices of matched vectors: the paper's patch style loss as its text has it (3.3.2), and DPH's first pass."""

from abc import ABC
from dataclasses import dataclass

import numpy as np

from ..matching.correspondence import match
from ..matching.patches import Matches
from ..network.architecture import channels, stride
from ..network.backend import as_tensor, ops
from ..options import NOT_NEGATIVE, ODD, Rule, option
from .gram import gram_matrix, gram_term
from .terms import Sources, StyleLoss, Term


@dataclass(frozen=True)
class Matching(StyleLoss, ABC):
    """A style loss whose targets are places of the painting that patches of the object are matched to."""

    patch_size: int = option(3, "side of the patches that are matched, in features; odd (DPH: 3)", ODD)
    rematch_every: int = option(
        0, "match again after so many iterations; 0: once, before the first (DPH)", NOT_NEGATIVE
    )
    matching_memory: int = option(
        512, "workspace of the patch matching, megabytes", Rule("of at least 16 megabytes", lambda value: value >= 16)
    )

    @property
    def halo(self) -> int:
        return self.patch_size // 2

    @property
    def queried(self) -> tuple[str, ...]:
        return self.style_layers

    def making_bytes(self, pixels: float) -> float:
        """Queries and their matches."""
        return sum(2 * 4 * channels(layer) / stride(layer) ** 2 for layer in self.queried) * pixels

    @property
    def workspace_bytes(self) -> float:
        """Similarities of patches."""
        return self.matching_memory * 1e6

    def pieces(self, iterations: int) -> list[int]:
        each = self.rematch_every or iterations
        return [min(each, iterations - done) for done in range(0, iterations, each)] if iterations else [0]

    def matches(
        self, sources: Sources, layers: tuple[str, ...], keep_patches: bool = False
    ) -> dict[str, list[Matches]]:
        """For each patch of the queries under the mask the most similar one of the painting, in some of the layers."""
        wanted = {layer: [mask > 0 for mask in sources.masks[layer]] for layer in layers}
        memory = self.matching_memory * 10**6
        return match(sources.queries, wanted, sources.extractor, sources.painting, layers, self.patch_size,
                     keep_patches, memory, sources.on_share)  # fmt: skip


@dataclass(frozen=True)
class Matched(Matching):
    """The Gram matrix of the masked features against that of the vectors that they match, under the same mask."""

    def layer_terms(self, sources: Sources) -> dict[str, Term]:
        matches = self.matches(sources, self.style_layers)
        return {layer: self._term(layer, matches[layer], sources) for layer in self.style_layers}

    def _term(self, layer: str, matches: list[Matches], sources: Sources) -> Term:
        mask, vectors = sources.mask(layer), np.concatenate([found.vectors[:, 0, 0] for found in matches])
        target = gram_matrix(as_tensor(vectors), as_tensor(mask[mask > 0]), sources.normalization)
        return gram_term(layer, ops.convert_to_numpy(target), sources.masks[layer], sources.normalization)
