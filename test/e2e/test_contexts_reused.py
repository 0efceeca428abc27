"""MLIR contexts that serve several kernels."""

import numpy as np
import pith
import pytest
from pith.compiler import contexts
from pith.runtime import KernelCache


def test_contexts_are_used_again_one_kernel_at_a_time(monkeypatch):
    monkeypatch.setattr(contexts, "_idle", [])
    with contexts.borrowed_context() as first, contexts.borrowed_context() as second:
        assert first is not second
    with contexts.borrowed_context() as again:
        assert again in (first, second)


def test_a_context_is_given_up_after_an_error_and_after_many_kernels(monkeypatch):
    monkeypatch.setattr(contexts, "_idle", [])
    with pytest.raises(ValueError), contexts.borrowed_context():
        raise ValueError
    assert not contexts._idle
    monkeypatch.setattr(contexts, "_MOST_KERNELS", 2)
    for _ in range(2):
        with contexts.borrowed_context():
            pass
    assert not contexts._idle


def test_interrupts_in_callbacks_stay_interrupts(monkeypatch):
    """MLIR's walks make a RuntimeError of whatever their callback raises."""

    def interrupt(op):
        raise KeyboardInterrupt

    source = "func.func @f(%x: tensor<?x9xf32>) -> tensor<?x9xf32> { return %x : tensor<?x9xf32> }"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pith.lowering.linalg.convert_linalg_to_rows._is_outermost", interrupt)
        patch.setenv("PITH_CACHE", "0")
        patch.setattr("pith.runtime.cache.kernel_cache", KernelCache)
        patch.setattr("pith.compiler.kernel.kernel_cache", KernelCache)
        pith.compile(source)
    assert pith.compile(source)(np.ones((2, 9), np.float32)).sum() == 18
