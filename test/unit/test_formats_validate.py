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
