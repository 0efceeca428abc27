"""What arguments are, while other threads import what they may be of."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import numpy as np
import pytest
from pith.runtime import arrays


@pytest.fixture
def half_of_torch(monkeypatch):
    """What another thread sees of torch while one imports it."""
    module = types.ModuleType("torch")
    module.__spec__ = importlib.machinery.ModuleSpec("torch", None)
    vars(module.__spec__)["_initializing"] = True
    monkeypatch.setattr(arrays, "_torch", None)
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def test_torch_counts_when_all_of_it_is_loaded(half_of_torch):
    assert arrays.loaded_torch() is None
    assert not arrays.is_torch(np.ones(3))
    half_of_torch.Tensor = type("Tensor", (), {})
    vars(half_of_torch.__spec__)["_initializing"] = False
    assert arrays.loaded_torch() is half_of_torch
    assert arrays.is_torch(half_of_torch.Tensor())


def test_torch_that_is_not_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert arrays.loaded_torch() is None
    assert not arrays.is_torch(np.ones(3))
