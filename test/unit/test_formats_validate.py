"""The first violation is the first: against counting every group."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import broken_elements, formats_and_tensors
from hypothesis import given, settings
from pith.formats import HSS, Format
from pith.formats.pack import pack
from pith.formats.validate import first_violation


@settings(max_examples=200, deadline=None)
@given(formats_and_tensors(dtypes=("float32",), max_rank=3))
def test_agrees_with_counting(case):
    fmt, x = case
    broken = broken_elements(x, fmt)
    found = first_violation(x, fmt)
    if not broken:
        assert found is None
        pack(x, fmt)
        return
    assert found is not None
    assert found.element == min(broken)
    assert found.level == min(broken[min(broken)])
    assert found.linear == np.ravel_multi_index(found.element, x.shape)
    assert found.count > found.limit
    with pytest.raises(pith.FormatError, match="does not obey"):
        pack(x, fmt)


def test_names_group_and_count():
    x = np.zeros((2, 32))
    x[1, [0, 4, 8, 12]] = 1  # four of four blocks where three fit
    v = first_violation(x, HSS.parse("C1(3:4)->C0(2:4)").to_format())
    assert v is not None
    assert (v.level, v.group, v.element, v.linear, v.count, v.limit) == (2, (1, 0), (1, 12), 44, 4, 3)


def test_formats_without_limits_hold_anything():
    assert first_violation(np.ones((4, 4)), Format.bsr(2, 2)) is None


def test_nan_counts_and_minus_zero_does_not():
    fmt = HSS.parse("C0(1:2)").to_format()
    assert first_violation(np.array([[1.0, -0.0]]), fmt) is None
    assert first_violation(np.array([[1.0, np.nan]]), fmt) is not None


def test_the_error_names_the_group_what_it_holds_and_what_is_allowed():
    x = np.zeros((6, 32), np.float32)
    x[4, [16, 17, 19]] = 1
    text = r"element \[4, 19\].*nm\(2:4\), holds at most 2 .*group at \[4, 16\] has 3 with non-zeros \(0, 1, 3\)"
    with pytest.raises(pith.FormatError, match=text):
        pith.validate(x, "C1(3:4)->C0(2:4)")
    x[4, 19] = 0
    assert pith.validate(x, "C1(3:4)->C0(2:4)") is None
    pith.validate(pith.compress(x, "csr"), "C0(2:4)")
    with pytest.raises(pith.ShapeError, match="pad dimension 1"):
        pith.validate(x[:, :30], "C0(2:4)")


def test_large_tensors_are_checked_by_a_kernel_with_the_same_error():
    pytest.importorskip("torch_mlir")
    x = pith.prune(np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32), "V(4)C0(2:4)")
    pith.validate(x, "V(4)C0(2:4)")
    free = int(np.flatnonzero(x[701, 4:8] == 0)[-1]) + 4
    x[701, free] = 1
    with pytest.raises(pith.FormatError, match=r"group at \[700, 4\] has 3"):
        pith.validate(x, "V(4)C0(2:4)")
