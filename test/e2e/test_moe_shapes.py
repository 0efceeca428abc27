"""Layers of experts of random shapes against float64 NumPy, on one to three threads."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.runtime import num_threads, set_num_threads
from relative_error import error_of
from test_moe import ACTIVATIONS, TOLERANCES, layer, routing

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", range(3))
def test_layers_of_random_shapes(seed, dtype):
    """On one to three threads: experts without rows, whose weights are NaN, with one, odd sizes, every epilogue."""
    rng, before = np.random.default_rng([seed, 41]), num_threads()
    for threads, activation in zip((1, 2, 3), rng.permutation(np.array(list(ACTIVATIONS), object))):
        n, k = int(rng.integers(2, 8)), int(rng.integers(1, 3))
        tokens, width, out = (int(rng.choice(c)) for c in ((1, 65, 190), (1, 33, 64, 151), (1, 127, 513, 1030)))
        experts = routing(str(rng.choice(["skewed", "one"])), tokens, n, k, rng)
        arrays = [rng.standard_normal(s) for s in ((tokens, width), (n, width, out), (n, out), (tokens, k))]
        x, w, bias, gates = (torch.from_numpy(a).to(getattr(torch, dtype)) for a in arrays)
        wide = [t.double().numpy() for t in (x, w, bias, gates)]
        reference = sum(
            wide[3][:, j, None] * layer(wide[0], experts[:, j], wide[1], wide[2], activation) for j in range(k)
        )
        w[np.setdiff1d(np.arange(n), experts)] = np.nan
        set_num_threads(threads)
        y = pith.grouped_matmul(x, torch.from_numpy(experts), w, gates, bias=bias, activation=activation)
        set_num_threads(before)
        assert error_of(y.double().numpy(), reference) < TOLERANCES[dtype], (threads, tokens, width, out, n, k)
