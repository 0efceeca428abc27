"""Products that patterns restrict, through panels and index lists, against float64."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from listed_programs import ListedProgram
from pith.runtime import live_bytes
from tile_programs import error

TOLERANCE = 2e-6  # float32 sums of at most 250 products

SIZES = (("b", 3), ("e", 5), ("h", 2), ("k", 83), ("m", 61), ("n", 45), ("t", 61))

compiled = functools.cache(ListedProgram.compile)


def program(equation, where, **options) -> ListedProgram:
    letters = {c for c in equation if c.isalpha()}
    sizes = tuple((c, n) for c, n in SIZES if c in letters)
    return ListedProgram(equation, sizes, tuple((letters, tuple(gran)) for letters, gran in where), **options)


def check(p: ListedProgram, seed: int, densities=(0.0, 0.3, 1.0), tolerance=TOLERANCE, dtype=np.float32) -> None:
    rng = np.random.default_rng(seed)
    for density in densities:
        lists, operands = p.lists(rng, density), p.operands(rng, dtype)
        out = p.run(compiled(p), lists, *operands)
        assert error(out, p.reference(lists, *operands)) < tolerance, density


#: Added to an argument, to zeros, followed by a bias and a relu, of sizes known at run time.
MODES = [{}, {"fresh": True}, {"fresh": True, "relu": True}, {"dynamic": True, "fresh": True}]


def with_modes(cases, first=0):
    """Every case in one mode, with the modes in turn: each combination costs a compilation."""
    return [(*case, MODES[(first + i) % len(MODES)]) for i, case in enumerate(cases)]


SINGLE = [
    ("mk,kn->mn", [("m", [1])]),
    ("mk,kn->mn", [("n", [3])]),
    ("mk,kn->mn", [("k", [4])]),
    ("mk,nk->mn", [("m", [8])]),
    ("mk,nk->mn", [("n", [1])]),
    ("mk,nk->mn", [("k", [1])]),
    ("km,kn->mn", [("m", [1])]),
    ("km,kn->nm", [("k", [5])]),
    ("mk,kn->nm", [("m", [1])]),
    ("mk,kn->nm", [("n", [2])]),
]


@pytest.mark.parametrize(("equation", "where", "mode"), with_modes(SINGLE))
def test_one_axis(equation, where, mode):
    check(program(equation, where, **mode), 1)


@pytest.mark.parametrize("axes", ["mk", "mn", "nk", "mnk"])
@pytest.mark.parametrize("fresh", [False, True])
def test_patterns_of_several_axes_each(axes, fresh):
    where = [(c, [{"m": 1, "n": 4, "k": 2}[c]]) for c in axes]
    check(program("mk,kn->mn", where, fresh=fresh, dynamic=fresh), 2)


BATCHES = [
    ("bmk,bkn->bmn", [("bm", [1, 1])]),  # ragged batches
    ("bmk,kn->bmn", [("bm", [1, 4])]),
    ("bmk,kn->bmn", [("mb", [1, 1])]),  # one product, rows of all batches
    ("bhmk,nk->bhmn", [("bhm", [1, 1, 1]), ("n", [4])]),
    ("bmk,kn->bmn", [("k", [1])]),
    ("bmk,bnk->bmn", [("bn", [1, 1])]),
    ("bmk,bkn->bmn", [("bk", [1, 1]), ("m", [1])]),
    ("bmk,bkn->bmn", [("bk", [2, 1])]),  # two batches share a list
    ("bmk,bkn->bmn", [("b", [1])]),
    ("bhmk,bhnk->bhmn", [("bm", [1, 1]), ("n", [2])]),
    ("bhmk,bhnk->bhmn", [("hbm", [1, 2, 3])]),
]


@pytest.mark.parametrize(("equation", "where", "mode"), with_modes(BATCHES, 1))
def test_lists_per_batch(equation, where, mode):
    check(program(equation, where, **mode), 3)


EXPERTS = [
    ("tk,ekn->tn", [("te", [1, 1])]),
    ("tk,enk->tn", [("et", [1, 1])]),
    ("tk,ekn->tn", [("te", [2, 1]), ("n", [1])]),
    ("tk,ekn->nt", [("te", [1, 1])]),
    ("tk,ekn->tn", [("t", [1])]),
    ("tk,ekn->tn", [("e", [1])]),
]


@pytest.mark.parametrize(("equation", "where", "mode"), with_modes(EXPERTS, 2))
def test_lists_per_expert(equation, where, mode):
    """Grouped products: an outer loop that the result does not have is summed over."""
    check(program(equation, where, **mode), 4)


BLOCKS = [
    ("mk,kn->mn", [("mk", [32, 1])]),
    ("mk,kn->mn", [("km", [1, 1])]),
    ("mk,kn->mn", [("mk", [1, 32])]),
    ("mk,kn->mn", [("mk", [4, 4])]),
    ("mk,kn->mn", [("mk", [7, 12])]),
    ("mk,kn->mn", [("mk", [2, 3]), ("n", [1])]),
    ("mk,nk->mn", [("mk", [16, 1])]),
    ("km,kn->mn", [("mk", [8, 1])]),
    ("mk,kn->nm", [("mk", [4, 1])]),
    ("mk,kn->mn", [("kn", [1, 16])]),  # the right operand is sparse
    ("mk,nk->mn", [("nk", [1, 1])]),
    ("bmk,bkn->bmn", [("bmk", [1, 4, 1])]),
    ("bmk,kn->bmn", [("mk", [4, 2])]),  # one list serves all batches
    ("tk,ekn->tn", [("tk", [4, 1]), ("e", [1])]),
]


@pytest.mark.parametrize(("equation", "where", "mode"), [*with_modes(BLOCKS), *with_modes(BLOCKS, 3)])
def test_blocks_of_rows(equation, where, mode):
    check(program(equation, where, **mode), 9)


@pytest.mark.parametrize("order", ["grouped", "cut in two", "past the grid"])
def test_blocks_whose_entries_stand_together(order):
    p = program("mk,kn->mn", [("mk", [1, 1])], fresh=True)
    operands = p.operands(np.random.default_rng(10))
    for density in (0.02, 0.3, 0.9, 1.0):  # up to 83 entries of a row, 16 of which are looked at together
        keep = np.random.default_rng(11).random((61, 83)) < density
        entries = np.concatenate([np.add(np.argwhere(keep[m : m + 1]), [m, 0]) for m in reversed(range(61))]).astype(
            np.int32
        )
        listed = entries
        if order == "cut in two":
            listed = np.roll(entries, 20, axis=0)
        elif order == "past the grid":
            listed = np.insert(entries, len(entries) // 2, [[30, 83], [61, 2], [61, 3]], axis=0)
        out = compiled(p)(np.ascontiguousarray(listed), *operands[:2])
        assert error(out, p.reference([entries], *operands)) < TOLERANCE, density


@pytest.mark.parametrize(("equation", "where"), [*SINGLE, *BATCHES, *EXPERTS, *BLOCKS])
def test_panels_take_them(equation, where):
    assert program(equation, where).takes_panels()


def test_float64():
    check(program("mk,kn->mn", [("m", [1]), ("k", [3])], element="f64"), 5, tolerance=1e-14, dtype=np.float64)


NARROW = [("f16", "f32", np.float16, TOLERANCE), ("i8", "i32", np.int8, 0.0), ("", "i32", np.int32, 0.0)]


@pytest.mark.parametrize(("factor", "element", "dtype", "tolerance"), NARROW)
@pytest.mark.parametrize("where", [[("m", [1])], [("k", [2]), ("n", [1])], [("mk", [4, 1])]])
def test_factors_narrower_than_their_sums(factor, element, dtype, tolerance, where):
    p = program("mk,kn->mn", where, element=element, factor=factor)
    rng = np.random.default_rng(11)
    a, b, init, bias = (v * 20 for v in p.operands(rng, np.float64))
    sums = np.float32 if element == "f32" else np.int32
    operands = a.astype(dtype), b.astype(dtype), init.astype(sums), bias
    for density in (0.0, 0.4):
        lists = p.lists(rng, density)
        out = p.run(compiled(p), lists, *operands)
        assert error(out, p.reference(lists, *operands)) <= tolerance


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (5, 40, 17), (200, 7, 64), (140, 300, 40), (4, 4, 0), (0, 3, 5), (3, 0, 5)]
)
def test_sizes_at_run_time(sizes):
    """One kernel serves all sizes, empty ones included; strips, parts and groups begin and end anywhere."""
    function = compiled(program("mk,kn->mn", [("m", [2])], dynamic=True, fresh=True))
    p = ListedProgram("mk,kn->mn", tuple(zip("mnk", sizes)), (("m", (2,)),), fresh=True)
    rng = np.random.default_rng(sizes)
    lists, operands = p.lists(rng, 0.6), p.operands(rng)
    assert error(p.run(function, lists, *operands), p.reference(lists, *operands)) < TOLERANCE


LARGE = [
    ("mk,kn->mn", [("m", [1])]),
    ("mk,kn->mn", [("mk", [8, 1])]),
    ("tk,ekn->tn", [("te", [1, 1])]),
    ("bmk,bkn->bmn", [("bm", [1, 1]), ("k", [2])]),
]


@pytest.mark.parametrize(("equation", "where"), LARGE)
def test_tasks_of_several_threads(equation, where):
    """Work enough to be shared: tasks write disjoint places, groups and parts end where sizes do."""
    p = program(equation, where, dynamic=True, fresh=True)
    large = dataclasses.replace(
        p, sizes=tuple((c, {"b": 3, "e": 5}.get(c, 301 + 10 * i)) for i, (c, _) in enumerate(p.sizes))
    )
    rng = np.random.default_rng(12)
    lists, operands = large.lists(rng, 0.5), large.operands(rng)
    want = large.reference(lists, *operands)
    for _ in range(3):
        assert error(large.run(compiled(p), lists, *operands), want) < TOLERANCE


def test_what_is_not_listed_is_not_read():
    """NaN and infinities outside the lists do not reach the result; places that are not listed are zero."""
    p = program("mk,kn->mn", [("m", [1]), ("k", [1])], fresh=True)
    rng = np.random.default_rng(6)
    rows, reds = lists = p.lists(rng, 0.5)
    a, b, init, bias = p.operands(rng)
    want = p.reference(lists, a, b, init, bias)
    a[:, np.setdiff1d(np.arange(83), reds)], b[np.setdiff1d(np.arange(83), reds)] = np.nan, np.inf
    a[np.setdiff1d(np.arange(61), rows)] = np.nan
    out = compiled(p)(*lists, a, b)
    assert error(out, want) < TOLERANCE
    assert not out[np.setdiff1d(np.arange(61), rows)].any()


@pytest.mark.parametrize("letter", ["m", "n", "k"])
def test_coordinates_past_the_grid_name_nothing(letter):
    p = program("mk,kn->mn", [(letter, [4])], fresh=True)
    operands = p.operands(np.random.default_rng(7))
    good, bad = np.array([0, 3], np.int32), np.array([0, 30, -1, 3, 2**31 - 1], np.int32)
    assert error(compiled(p)(bad, *operands[:2]), p.reference([good], *operands)) < TOLERANCE


def test_no_memory_is_kept():
    p = program("tk,ekn->tn", [("te", [1, 1])], fresh=True)
    rng = np.random.default_rng(8)
    operands = p.operands(rng)
    before = live_bytes()
    for i in range(10):
        p.run(compiled(p), p.lists(rng, i / 10), *operands)
    assert live_bytes() == before
