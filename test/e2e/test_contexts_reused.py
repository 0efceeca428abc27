"""MLIR contexts that serve several kernels."""

import pytest
from pith.compiler import contexts


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
