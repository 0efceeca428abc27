"""Run-time patterns on products of bf16 and int8 whose tile bodies are AMX or dot instructions, against float64.

Emulated, and ``vpmaddwd`` itself where there is AVX2. Products of bf16 are exact in f32, integers must be equal.
"""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np
import pytest
from listed_programs import ListedProgram
from pith._mlir import ir
from pith.compiler.build import parse
from pith.lowering.isa import ISAS
from pith.passes.pipeline import run_pipeline
from pith.runtime.cpu import cpu_features
from tile_programs import error

TOLERANCE = 2e-6  # float32 sums of at most 250 products

#: Instruction set -> its narrow element types, and what bodies are made of.
BODIES = {
    "emulate:amx": {"bf16": "x86.amx.tile_mulf", "i8": "x86.amx.tile_muli"},
    "emulate:avx512-bf16": {"bf16": "x86.avx512.dot", "i8": "pith.dot"},
    "emulate:avx2-vnni-int8": {"i8": "x86.avx.dot.i8"},
    "avx2": {"i8": "pith.dot"},
}
TARGETS = [
    (isa, t) for isa, bodies in BODIES.items() for t in bodies if ISAS["avx2"].runs_on(cpu_features()) or ":" in isa
]
TYPES = {"bf16": (ml_dtypes.bfloat16, np.float32, "f32"), "i8": (np.int8, np.int32, "i32")}

SIZES = (("b", 3), ("e", 5), ("k", 83), ("m", 61), ("n", 45), ("t", 61))

#: Rows, columns and contracted coordinates by lists, operands either way round, batches and experts.
CASES = [
    ("mk,kn->mn", (("m", (1,)),)),
    ("mk,nk->mn", (("k", (2,)), ("n", (1,)))),
    ("km,kn->nm", (("m", (3,)),)),
    ("bmk,bkn->bmn", (("bm", (1, 1)),)),
    ("tk,ekn->tn", (("te", (1, 1)),)),
]


def program(equation, where, t, **options):
    letters = {c for c in equation if c.isalpha()}
    sizes = tuple((c, n) for c, n in SIZES if c in letters)
    return ListedProgram(equation, sizes, where, element=TYPES[t][2], factor=t, **options)


@functools.cache
def compiled(p, isa):
    return p.compile(isa)


def operands(p, rng, t):
    a, b, init, bias = (v * 20 for v in p.operands(rng, np.float64))
    factor, sums, _ = TYPES[t]
    return a.astype(factor), b.astype(factor), init.astype(sums), bias.astype(np.float32)


def check(p, isa, t, seed, densities=(0.0, 0.4, 1.0)):
    rng = np.random.default_rng(seed)
    for density in densities:
        lists, given = p.lists(rng, density), operands(p, rng, t)
        out = p.run(compiled(p, isa), lists, *given)
        assert error(out, p.reference(lists, *given)) <= (TOLERANCE if t == "bf16" else 0), density


#: Every case on the instructions themselves, and two of them on each emulated body: emulation compiles for a second.
CHECKED = [
    (isa, t, *case)
    for number, (isa, t) in enumerate(TARGETS)
    for case in (CASES if ":" not in isa else [CASES[(2 * number + i) % len(CASES)] for i in range(2)])
]


@pytest.mark.parametrize(("isa", "t", "equation", "where"), CHECKED)
def test_lists(isa, t, equation, where):
    check(program(equation, where, t), isa, t, 1)


@pytest.mark.parametrize("isa", ["emulate:amx", "emulate:avx512-bf16"])
def test_zeros_and_epilogues_at_sizes_of_run_time(isa):
    """What the op starts from is written where nothing is listed, and what is listed is written once, finished."""
    check(program("mk,kn->mn", (("m", (2,)),), "bf16", fresh=True, relu=True, dynamic=True), isa, "bf16", 2)


def test_panels_of_the_next_matrix_are_packed_meanwhile():
    """Those of whole tiles and whole panels are, whatever the number of rows of a matrix; the rest is not."""
    sizes = (("t", 61), ("e", 5), ("k", 83), ("n", 300))
    p = ListedProgram("tk,ekn->tn", sizes, (("te", (1, 1)),), element="f32", factor="bf16")
    check(p, "emulate:avx512-bf16", "bf16", 3, (0.05, 0.4, 1.0))


@pytest.mark.parametrize("isa", ["emulate:avx512-bf16"])
def test_what_is_not_listed_is_not_read(isa):
    p = program("mk,kn->mn", (("m", (1,)), ("k", (1,))), "bf16", fresh=True)
    rng = np.random.default_rng(6)
    rows, reds = lists = p.lists(rng, 0.5)
    a, b, init, bias = operands(p, rng, "bf16")
    want = p.reference(lists, a, b, init, bias)
    dropped = np.setdiff1d(np.arange(83), reds)
    a[:, dropped], b[dropped] = np.nan, np.inf
    a[np.setdiff1d(np.arange(61), rows)] = np.nan
    out = compiled(p, isa)(*lists, a, b)
    assert error(out, want) < TOLERANCE
    assert not out[np.setdiff1d(np.arange(61), rows)].any()


@pytest.mark.parametrize(("isa", "t"), TARGETS)
def test_bodies_are_the_instructions(isa, t):
    module = parse(program(*CASES[0], t).text(), isa)
    with module.context, ir.Location.unknown():
        run_pipeline(module, "builtin.module(pith-to-linalg,convert-pith-tiles-to-panels)")
        text = str(module)
    assert BODIES[isa][t] in text and "pith.pit_tile" not in text
