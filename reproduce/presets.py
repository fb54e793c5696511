"""What each preset does: named settings. A variant is `change`."""

from dataclasses import replace

from .losses.content import Content
from .losses.gram import Gram
from .losses.matched import Matched
from .losses.neighbors import Neighbors
from .losses.variation import Variation
from .settings import Image, Network, Polish, Settings, Solver, Weighing

# Paper 3.3 and 4.1: harmonisation.
PAPER = Settings(
    network=Network(pooling="max"),
    style=Matched(style_layers=("block3_conv1", "block4_conv1", "block5_conv1"), style_weight=1.0, patch_size=3),
    content=Content(content_layers=("block4_conv1",), content_weight=0.05),
    image=Image(scale=0.5, start="content"),
)

# Paper 3.2 and 4.1: the base network, "two images and one blank image", compared through Gram matrices.
PAPER_BASE = Settings(
    network=PAPER.network,
    style=Gram(style_layers=PAPER.style.style_layers, style_weight=1.0),
    content=PAPER.content,
    image=Image(scale=0.5, start="blank"),
)

# Gatys et al. 2016: its losses and layers, as the program neural-style made known: maximum pooling, a little total
# variation, and block5_conv1 counting for little (there by its means, here by its weight: its few cells would be met by
# copying things out of the painting). Each layer's distance is a share of what the painting gives, or block4_conv1
# would count a thousand times as much as the colours, which then come last; coarse scales bring tones and large strokes
# first. Chosen beside that program's published pictures.
GATYS = Settings(
    network=Network(pooling="max"),
    style=Gram(
        style_layers=("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"),
        layer_weights=(1.0, 1.0, 1.0, 1.0, 0.05),
        style_weight=1.0,
    ),
    content=Content(content_layers=("block4_conv2",), content_weight=0.03),
    variation=Variation(tv_weight=0.01),
    weighing=Weighing(normalization="relative"),
    image=Image(scale=0.5, start="content"),
    solver=Solver(iterations=100, coarse_to_fine=3),
)

# Beyond the paper: at full resolution, without its noise. Sliced distances (Heitz et al. 2021) to the features of one
# correspondence (DPH's second pass), and the angles of features to their matches' (Kolkin et al. 2022), which bring
# strokes; from half resolution up; images/polish.py for the rest, such as even tones. Chosen by eye and by the table's
# measures on DPH's cases 4, 9, 13, 19, 24 and 26.
REFINED = Settings(
    style=Neighbors(
        style_layers=("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1"),
        match_once=True,
        beyond_matches=0.3,
        neighbor_layers=("block3_conv1", "block4_conv1"),
        neighbor_weight=0.25,
        rematch_every=30,
    ),
    content=Content(content_layers=("block4_conv1",), content_weight=0.03),
    variation=Variation(tv_weight=0.002),
    weighing=Weighing(normalization="relative"),
    image=Image(scale=1.0, start="content"),
    polish=Polish(
        adapt_content=True, recolor=True, smooth_colors=4, even_tones=0.7, borrow_detail=True, match_grain=True
    ),
    solver=Solver(iterations=60, coarse_to_fine=1),
)

# A whole image or region at its full resolution, with those means of REFINED that need no object: the paper's three
# layers leave an image's colours and its noise open.
REFINED_BASE = replace(GATYS, image=Image(scale=1.0, start="content"), polish=Polish(recolor=True, smooth_colors=4))
