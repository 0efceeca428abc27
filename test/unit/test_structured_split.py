"""Index streams of formats, and the coordinates of 2:4 groups as tensor cores read them."""

import numpy as np
import pith
import pytest
from pith.formats import HSS, Format
from pith.lowering.gpu.structured.split import split_format

SPLITS = [
    # format, levels of the stream, rows that share it, elements of an entry, copied below, chosen below
    ("C0(2:4)", 2, 0, 4, False, "nm(2:4)"),
    ("C0(1:4)", 2, 0, 4, False, "nm(1:4)"),
    ("C0(2:8)", 2, 0, 8, False, "nm(2:8)"),
    ("C0(4:8)", 2, 0, 8, False, None),
    ("C0(2:6)", 2, 0, 6, False, None),
    ("C1(4:4)->C0(4:4)", 4, 0, 1, True, None),
    ("C1(3:4)->C0(2:4)", 2, 0, 16, False, "nm(2:4)"),
    ("V(4)C1(1:2)->C0(2:4)", 2, 0, 8, False, "nm(2:4)"),
    ("C1(1:2)->B(4x1)C0(2:4)", 2, 0, 8, False, None),
    ("V(64)C1(2:8)->C0(2:4)", 3, 64, 4, False, "nm(2:4)"),
    ("V(64)C1(2:8)->C0(4)", 3, 64, 4, True, None),
    ("V(16)C1(4:4)->C0(2:4)", 4, 0, 4, False, "nm(2:4)"),
    ("V(16)C2(2:4)->C1(4)->C0(2:4)", 3, 16, 16, False, "nm(2:4)"),
    ("V(16)C2(1:2)->C1(2:3)->C0(2:4)", 3, 16, 12, False, "nm(2:4)"),
    ("V(16)C2(1:2)->V(16)C1(2:3)->C0(2:4)", 4, 16, 4, False, "nm(2:4)"),
    ("B(32x32)C0(*)", 2, 32, 32, True, None),
    ("B(16x1)C0(*)", 2, 16, 1, True, None),
    ("V(16)C1(*)->C0(2:4)", 2, 16, 4, False, "nm(2:4)"),
]


@pytest.mark.parametrize(("text", "stream", "rows", "width", "copied", "chosen"), SPLITS)
def test_split(text, stream, rows, width, copied, chosen):
    split = split_format(HSS.parse(text).to_format(), row=0)
    assert (split.stream, split.rows, split.width) == (stream, rows, width)
    assert split.skips == (rows > 0)
    assert split.is_copy == copied
    assert (str(split.chosen) if split.chosen else None) == chosen


NONE = [
    Format.csr(),  # rows choose for themselves, and how many they choose varies
    Format.csc(),  # what is chosen are rows
    Format.coo(),
    Format.banded(1, 1),
    HSS.parse("C0(bitmask)").to_format(),
    HSS.parse("C2->C0(8)->C1(1:4)").to_format(),  # elements of an entry do not follow each other
]


@pytest.mark.parametrize("fmt", NONE, ids=str)
def test_formats_without_a_stream(fmt):
    assert split_format(fmt, row=0) is None


def test_groups_that_may_be_absent_are_searched_for():
    searched = ("C1(3:4)->C0(2:4)", "V(4)C1(1:2)->C0(2:4)", "V(16)C2(1:2)->C1(2:3)->C0(2:4)")
    plain = ("C0(2:4)", "V(16)C1(2:8)->C0(2:4)", "C1(4:4)->C0(2:4)")
    assert all(split_format(HSS.parse(t).to_format(), row=0).searches for t in searched)
    assert not any(split_format(HSS.parse(t).to_format(), row=0).searches for t in plain)


def test_a_transposed_operand_has_the_same_stream():
    fmt = HSS.parse("V(32)C1(2:8)->C0(2:4)").to_format()
    assert split_format(fmt.transposed(), row=1).rows == split_format(fmt, row=0).rows == 32


# What follows are the fragments of mma.sp.sync by the PTX ISA ("Sparse matrix storage", "Matrix Fragments for sparse
# mma.m16n8k32" and "... m16n8k64"): which element of the stored half of A a lane holds, and which bits say where it is.
LANE = np.arange(32)
GROUP, THREAD = LANE // 4, LANE % 4


def stored(element, depth, seed):
    """A random 16 x depth matrix in 2:4, its values by row, and its coordinates as pith stores them, in halfwords."""
    rng = np.random.default_rng(seed)
    fmt = HSS.parse("C0(2:4)")
    dense = rng.integers(1, 100, (16, depth)).astype(element)
    dense[rng.random(dense.shape) < 0.3] = 0
    dense = pith.prune(dense, fmt)
    coordinates, values = pith.compress(dense, fmt).buffers
    return dense, values.reshape(16, depth // 2), coordinates.view("<u2").reshape(16, depth // 16)


@pytest.mark.parametrize("selector", [0, 1])
def test_coordinates_of_halves_are_the_words_of_m16n8k32(selector):
    dense, values, halfwords = stored(np.float16, 64, selector)
    # The body gives lane (g, t) halfword t of rows g and g + 8: it serves both selectors.
    words = halfwords[GROUP, THREAD].astype(np.uint32) | halfwords[GROUP + 8, THREAD].astype(np.uint32) << 16
    out = np.zeros((16, 32), np.float16)
    for lane in range(32):
        g, t = divmod(lane, 4)
        for i in range(8):  # a0 a1: row g; a2 a3: row g + 8; a4 .. a7: the same, 16 columns on
            row, half = g + 8 * (i // 2 % 2), i // 4
            value = values[row, 16 * selector + 8 * half + 2 * t + i % 2]
            # Of a quad's threads the selector takes two, one per half; a row's 16 bits hold 8 values, low bits first.
            word = words[4 * g + 2 * selector + half]
            index = int(word) >> (16 * (row // 8) + 4 * t + 2 * (i % 2)) & 3
            out[row, 16 * half + 4 * t + index] += value
    np.testing.assert_array_equal(out, dense[:, 32 * selector : 32 * selector + 32])


def test_coordinates_of_bytes_are_the_words_of_m16n8k64():
    dense, values, halfwords = stored(np.int8, 64, 7)
    rows, first = GROUP + 8 * (THREAD % 2), 2 * (THREAD // 2)
    words = halfwords[rows, first].astype(np.uint32) | halfwords[rows, first + 1].astype(np.uint32) << 16
    out = np.zeros((16, 64), np.int8)
    for lane in range(32):
        g, t = divmod(lane, 4)
        for i in range(16):  # a0 .. a3: row g; a4 .. a7: row g + 8; a8 .. a15: the same, 32 columns on
            row, half = g + 8 * (i // 4 % 2), i // 8
            value = values[row, 16 * half + 4 * t + i % 4]
            # All four threads of a quad hold 32 bits: T0 and T1 of rows g and g + 8, T2 and T3 of the other half.
            word = words[4 * g + 2 * half + row // 8]
            index = int(word) >> (8 * t + 2 * (i % 4)) & 3
            out[row, 32 * half + 8 * t + 4 * (i % 4 // 2) + index] += value
    np.testing.assert_array_equal(out, dense)


@pytest.mark.parametrize("text", ["C0(2:4)", "V(16)C1(2:8)->C0(2:4)"])
def test_coordinates_of_a_group_differ_and_are_sorted(text):
    """Equal indices in a pair are undefined on the hardware, and ordered ones are what later chips ask for."""
    fmt = HSS.parse(text)
    coordinates = pith.compress(np.zeros((16, 64), np.float16), fmt).buffers[-2]
    nibbles = np.stack((coordinates & 15, coordinates >> 4))
    assert ((nibbles & 3) < (nibbles >> 2)).all()
