"""Compiling without garbage collection: it comes back, and only where it was on."""

import gc

import pytest
from pith.compiler.collector import no_collection


def test_it_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError), no_collection():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


def test_nested_and_already_off() -> None:
    with no_collection():
        with no_collection():
            pass
        assert not gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
