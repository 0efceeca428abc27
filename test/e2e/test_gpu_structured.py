"""Products with structured and unstructured weights on the emulated GPU, against float64."""

import numpy as np
import pytest
from relative_error import error_of
from structured_programs import TOLERANCE, feed_of, run, source

#: format, shape, element, result, x @ W^T instead of W @ x, how the weight is fed
CASES = [
    # Sparse tensor cores: whole rows, rows whose groups are not aligned, all kinds of elements.
    ("C0(2:4)", (36, 64), "f16", "f32", False, "packed"),
    ("C0(2:4)", (36, 64), "f16", "f16", True, "packed"),
    ("C0(2:4)", (21, 44), "f16", "f32", False, "packed"),
    ("C0(2:4) pad", (21, 39), "f16", "f32", True, "packed"),
    ("C0(2:4)", (20, 64), "bf16", "f32", False, "packed"),
    ("C0(2:4)", (20, 128), "i8", "i32", True, "packed"),
    ("C0(2:4)", (33, 44), "i8", "i32", False, "packed"),
    ("C0(1:4)", (20, 48), "f16", "f32", False, "packed"),
    ("C0(2:8)", (20, 80), "bf16", "bf16", True, "packed"),
    # ... below a stream that rows share.
    ("V(64)C1(2:8)->C0(2:4)", (192, 320), "f16", "f16", True, "packed"),
    ("V(48)C1(2:8)->C0(2:4)", (96, 160), "f16", "f32", False, "packed"),
    ("V(16)C1(2:10)->C0(2:4)", (32, 120), "bf16", "bf16", True, "packed"),
    ("V(32)C1(2:8)->C0(2:4)", (32, 192), "i8", "i32", False, "packed"),
    ("V(16)C1(1:4)->C0(2:8)", (32, 96), "f16", "f32", True, "packed"),
    ("V(16)C2(2:4)->C1(4)->C0(2:4)", (48, 128), "f16", "f32", True, "packed"),
    ("V(16)C1(2:8)->C0(2:4) pad", (21, 39), "f16", "f32", True, "packed"),
    ("V(16)C1(*)->C0(2:4)", (48, 100), "f16", "f32", False, "packed"),
    # ... among groups that a row may lack.
    ("C1(3:4)->C0(2:4)", (20, 64), "f16", "f32", True, "packed"),
    ("C1(3:4)->C0(2:4)", (21, 80), "i8", "i32", False, "packed"),
    ("C1(4:7)->C0(2:4) pad", (33, 50), "bf16", "f32", False, "packed"),
    ("V(4)C1(1:2)->C0(2:4)", (36, 40), "f16", "f32", False, "packed"),
    ("C2(1:2)->C1(3:4)->C0(1:4)", (17, 64), "f16", "f32", True, "packed"),
    ("V(16)C2(1:2)->C1(2:3)->C0(2:4)", (48, 120), "f16", "f32", False, "packed"),
    # Dense bodies on the stream: blocks, and choices of single columns.
    ("C1(4:4)->C0(4:4)", (18, 80), "f16", "f32", False, "copied"),
    ("V(16)C1(1:4)->C0(4)", (48, 96), "f16", "f32", True, "copied"),
    ("B(32x32)C0(*)", (64, 96), "f16", "f32", False, "copied"),
    ("B(16x16)C0(*)", (48, 96), "f32", "f32", True, "copied"),
    ("B(32x32)C0(*) pad", (50, 70), "f16", "f32", False, "copied"),
    ("B(16x1)C0(*)", (64, 96), "f16", "f32", True, "copied"),
    # Groups that are not 2 of 4, and elements that sparse tensor cores do not take.
    ("V(16)C1(1:4)->C0(4:8)", (32, 96), "f16", "f32", False, "scattered"),
    ("V(16)C1(2:8)->C0(2:4)", (32, 96), "f32", "f32", True, "scattered"),
    ("C0(4:8)", (20, 80), "f16", "f32", False, "expanded"),
    ("C1(3:4)->C0(2:4)", (20, 64), "f32", "f32", True, "expanded"),
    ("C1(1:2)->B(4x1)C0(2:4)", (20, 32), "f16", "f32", True, "expanded"),
    # Load sparse, compute dense.
    ("C0(bitmask)", (50, 71), "f16", "f32", True, "scanned"),
    ("C0(bitmask)", (50, 71), "i8", "i32", False, "scanned"),
    ("B(4x4)C0(*)", (48, 96), "f16", "f32", False, "scanned"),
    ("B(2x3)C0(bitmask)", (48, 96), "f32", "f32", True, "scanned"),
    ("M1->C1(bitmask:4)->M0(4)->C0(8)", (40, 96), "f16", "f32", False, "scanned"),
]


@pytest.mark.parametrize(("text", "shape", "element", "out", "transposed", "feed"), CASES)
def test_product(text, shape, element, out, transposed, feed):
    result, reference = run(text, shape, element=element, out=out, transposed=transposed)
    assert np.count_nonzero(reference)
    assert error_of(result, reference) <= TOLERANCE[out]
    assert feed_of(source(text, shape, element=element, out=out, transposed=transposed)) == feed
