"""Stored tensors as matrices over the same buffers."""

import numpy as np
import pith
import pytest
from pith.formats import DYNAMIC, HSS, Format
from pith.formats.matrix_view import matrix_view

FORMATS = (
    "MCRS: C0(2:4)",
    "MCRS: C1(2:4)->C0(2:4)",
    "MCRS: V(4)C0(2:4)",
    "MCRS: C(*)",
    "MCRS: B(4x4)C0(*)",
    "MCRS: C0(2:4)->R->S",
    "MCRS: R->C1->S->C0(2:4)",
    "MCRS: R->C(bitmask)->S",
)


SHAPES = ((8, 16, 3, 2), (4, 16, 1, 1), (12, 32, 1, 5))


@pytest.mark.parametrize(
    ("fmt", "shape"), [*((f, s) for f in FORMATS for s in SHAPES), ("MCRS: C0(2:4) pad", (7, 18, 2, 3))], ids=str
)
def test_elements_are_where_the_digits_say(fmt, shape):
    w = pith.prune(np.random.default_rng(0).standard_normal(shape), fmt)
    stored = pith.compress(w, fmt)
    view = matrix_view(stored.format, shape)
    matrix = pith.SparseTensor(view.shape, view.format, stored.buffers).to_dense()
    padded = np.zeros((*shape[:1], *stored.format.padded_shape(shape)[1:]))
    padded[tuple(map(slice, shape))] = w
    at = np.zeros((len(shape), view.shape[1]), int)
    for digit, coordinate in zip(view.digits, np.indices([d.size for d in view.digits])):
        at[digit.dim] += digit.step * coordinate.reshape(-1)
    np.testing.assert_array_equal(matrix, padded[:, at[1], at[2], at[3]])


def test_no_matrix():
    fmt = HSS.parse("MCRS: C(*)").to_format()
    assert matrix_view(fmt, (4, DYNAMIC, 3, 3)) is None
    assert matrix_view(fmt, (4, 1, 3, 3)) is None  # a list over one channel
    assert matrix_view(Format.banded(1, 1), (4, 4)) is None
    assert matrix_view(Format.dense(2), (4, 1)) is None
