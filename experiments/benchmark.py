"""The benchmark: what an evaluation, the matching, a large canvas and a start cost, ratios first."""
