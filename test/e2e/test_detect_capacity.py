"""Detections whose list has a capacity: past it a list grows or is an error, it is never cut."""

from __future__ import annotations

import numpy as np
import pith
import pytest


@pytest.mark.parametrize("overflow", ["grow", "error"])
def test_declared_capacity(overflow):
    """A list past its capacity grows, or is an error: it is never cut."""
    kernel = pith.compile(
        f"""func.func @f(%x: tensor<?x?xf32>) -> tensor<?x2xi32> {{
      %p = "pith.detect"(%x) {{axes = array<i64: 0, 1>, granularity = array<i64: 1, 1>, threshold = 0.0 : f64,
        pith.buffer = #pith.buffer<10, "{overflow}", "global">}} : (tensor<?x?xf32>) -> !pith.pattern<[-1, -1], [1, 1]>
      %c = "pith.coordinates"(%p) : (!pith.pattern<[-1, -1], [1, 1]>) -> tensor<?x2xi32>
      return %c : tensor<?x2xi32>
    }}"""
    )
    x = np.zeros((200, 300), np.float32)
    x[0, :10] = 1
    assert len(kernel(x)) == 10
    x[1] = 1
    if overflow == "grow":
        assert len(kernel(x)) == 310
        return
    with pytest.raises(pith.CheckError, match="more micro-tiles are present than its buffer of 10 holds"):
        kernel(x)


def test_capacity_of_a_call():
    """More than a pattern may list is an error that says how many, or is listed all the same: nothing is left out."""
    x = np.zeros((20, 30), np.float32)
    x[0, :10] = 1
    for exact in (10, np.int64(10), 11):
        assert pith.detect(x, 1, capacity=exact).count == 10
    with pytest.raises(pith.CheckError, match=r"10 micro-tiles were found, the capacity is 9(.|\n)*overflow=\"grow\""):
        pith.detect(x, 1, capacity=9)
    assert pith.detect(x, 1, capacity=9, overflow="grow") == pith.detect(x, 1)
    assert pith.detect(x, (1, 32), axes=(0, 1), capacity=1, deterministic=True).count == 1
    assert pith.detect(np.zeros((4, 4), np.float32), 1, capacity=0).count == 0
    for bad in ({"capacity": -1}, {"capacity": 2.5}, {"capacity": (1, 2)}, {"overflow": "drop"}, {"overflow": None}):
        with pytest.raises(pith.Error, match=r"capacity|expects 'error' or 'grow'"):
            pith.detect(x, 1, **bad)
