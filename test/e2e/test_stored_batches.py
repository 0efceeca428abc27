"""Batches of sparse matrices in products: one matrix of the stored batch after the other, against float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from cpu_programs import Operand, check, generic, kernel, multiply_add, random_dense, random_sparse, wide
from pith.formats import HSS, Format, LevelExpr

RNG = np.random.default_rng(3)

#: Formats of a batch of 48 x 16 matrices, the batch in front.
FORMATS = {
    "csr": Format.make(3, (0, "dense"), (1, "dense"), (2, "compressed"), pos_width=32, crd_width=16),
    "csc": Format.make(3, (0, "dense"), (2, "dense"), (1, "compressed")),
    "dcsr": Format.make(3, (0, "dense"), (1, "compressed"), (2, "compressed"), pos_width=32, crd_width=32),
    "coo": Format.make(3, (0, "dense"), (1, "compressed(nonunique)"), (2, "singleton")),
    "loose": Format.make(3, (0, "dense"), (1, "dense"), (2, "loose_compressed")),
    "bitmask": Format.make(3, (0, "dense"), (1, "dense"), (2, "bitmask")),
    "nm": HSS.parse("NMC: C0(2:4)").to_format(),
    "hss": HSS.parse("NMC: C1(3:4)->C0(2:4)").to_format(),
    "shared rows": HSS.parse("NMC: V(2)C1(1:2)->C0(2:4)").to_format(),
    "blocks": HSS.parse("NMC: B(3x4)C0(*)").to_format(),
    "list of groups": Format.make(
        3, (0, "dense"), (1, "dense"), (LevelExpr(2, 4), "compressed"), (LevelExpr(2, 1, 4), "nm(2:4)")
    ),
    "bits above groups": Format.make(
        3, (0, "dense"), (1, "dense"), (LevelExpr(2, 4), "bitmask"), (LevelExpr(2, 1, 4), "nm(2:4)"), pos_width=32
    ),
    "dense": Format.dense(3),
    "padded": HSS.parse("NMC: C1->C0(3:5) pad").to_format(),
}


def run(fmt: Format, element: str, maps: tuple[str, str, str], sizes: dict[str, int], start: float = 1.0):
    """The program's result, its explanation, and the reference."""
    sparse, dense, out = maps
    shapes = [[sizes[c] for c in letters.split(", ")] for letters in maps]
    w, x = random_sparse(RNG, shapes[0], element, fmt), random_dense(RNG, shapes[1], element)
    init = np.full(shapes[2], start).astype(w.dtype)
    loops = list(dict.fromkeys(f"{sparse}, {dense}".split(", ")))
    inputs = (Operand(tuple(shapes[0]), element, sparse, fmt), Operand((-1,) * x.ndim, element, dense))
    result = Operand((-1,) * init.ndim, element, out)
    kinds = "".join("r" if c == "k" else "p" for c in loops)
    program = kernel(generic(", ".join(loops), kinds, inputs, result, multiply_add(element)))
    equation = f"{sparse},{dense}->{out}".replace(", ", "")
    return program(pith.compress(w, fmt), x, init), program.explain(), np.einsum(equation, wide(w), wide(x)) + start


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "maps",
    [
        ("b, i, k", "b, k, h", "b, i, h"),
        ("b, k, i", "b, h, k", "h, b, i"),
        ("b, i, k", "b, k", "b, i"),
        ("b, i, k", "g, b, k, h", "b, g, i, h"),
    ],
)
def test_every_format_and_orientation(maps, name):
    rows, columns = maps[0].split(", ")[1:]
    out, told, reference = run(FORMATS[name], "f32", maps, {"b": 3, rows: 48, columns: 16, "g": 2, "h": 21})
    assert "] panel: " in told
    check(out, reference, "f32")


@pytest.mark.parametrize("element", ["f64", "i32", "i64"])
def test_element_types(element):
    out, _, reference = run(
        FORMATS["hss"], element, ("b, i, k", "b, k, h", "b, i, h"), {"b": 2, "i": 8, "k": 32, "h": 5}
    )
    check(out, reference, element)


def test_a_batch_inside_of_the_tensor_and_one_without_matrices():
    """The dimension that numbers matrices is the outermost level, whichever dimension that is."""
    fmt = Format.make(3, (1, "dense"), (0, "dense"), (2, "compressed"))
    for batch in (5, 0):
        out, told, reference = run(fmt, "f32", ("i, b, k", "b, k, h", "b, i, h"), {"b": batch, "i": 6, "k": 16, "h": 9})
        assert "] panel: " in told
        check(out, reference, "f32")


def test_matrices_that_do_not_begin_on_bytes_are_walked():
    """3 coordinates of 2 bits in a row, 5 rows: the second matrix begins inside of a byte."""
    fmt = HSS.parse("NMC: C1(1:1)->C0(3:4)").to_format()
    out, told, reference = run(fmt, "f32", ("b, i, k", "b, k, h", "b, i, h"), {"b": 3, "i": 5, "k": 4, "h": 7})
    assert "] scalar: " in told
    check(out, reference, "f32")


@pytest.mark.parametrize("fmt", ["csr", "C0(2:4) pad", "d0 : dense, d1 : bitmask"])
@pytest.mark.parametrize("shape", [(1, 5, 3), (1, 1, 5, 3), (2, 1, 3)])
def test_a_stack_of_one_matrix_has_no_offset(fmt, shape):
    """An offset known to be zero has to be in the type of a part."""
    weight = pith.prune(RNG.standard_normal((17, 3)), fmt, density=0.5 if fmt == "csr" else None)
    layer = torch.nn.Linear(3, 17).double()
    layer.weight.data = torch.from_numpy(weight)
    x = torch.from_numpy(RNG.standard_normal(shape))

    class Scanned(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x.cumprod(-2))

    kernel = pith.compile(Scanned().eval(), (x,), sparsity={"layer.weight": fmt}, path="sparse")
    torch.testing.assert_close(kernel(x), layer(x.cumprod(-2)).detach())
