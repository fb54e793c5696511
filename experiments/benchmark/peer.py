"""Time one evaluation of the PyTorch program `pastiche`; run by the interpreter of an environment that has it.

    python peer.py CONTENT.png STYLE.png WIDTH HEIGHT REPEATS

Prints the median of the seconds. Its network, layers and weights are those of the paper's base network here.
"""

import statistics
import sys
import time

from pastiche.pastiche import PasticheArtist


def main() -> None:
    content, style = sys.argv[1:3]
    width, height, repeats = map(int, sys.argv[3:])
    artist = PasticheArtist(
        content,
        [style],
        device="cpu",
        content_layers=["block4_relu1"],  # after the ReLU, as Keras counts layers
        style_layers=["block3_relu1", "block4_relu1", "block5_relu1"],
        size=(height, width),
        style_size=(height, width),
    )
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        artist.optimizer.zero_grad()
        artist._calc_loss().backward()  # what its optimiser calls; it has no public name
        seconds.append(time.perf_counter() - began)
    print(statistics.median(seconds[1:]))


if __name__ == "__main__":
    main()
