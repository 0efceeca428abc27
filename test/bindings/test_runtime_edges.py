"""Edges outside the dialect: memref descriptors and the FX importer."""

import gc
import weakref

import numpy as np
import pytest
from pith._mlir import fx_importer, ir


def test_descriptors_do_not_keep_arrays_alive():
    """A temporary passed by descriptor is freed before the call: callers must hold the array."""
    runtime = pytest.importorskip("torch_mlir.runtime")
    array = np.ones(16, np.float32)
    descriptor = runtime.get_ranked_memref_descriptor(array)
    alive = weakref.ref(array)
    del array
    gc.collect()
    assert alive() is None
    assert descriptor.shape[0] == 16


def test_fx_importer_needs_persistent_buffers():
    torch = pytest.importorskip("torch")

    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factor", torch.ones(4), persistent=False)

        def forward(self, x):
            return x * self.factor

    with pytest.raises(Exception, match="Could not find state mapping for buffer"):
        fx_importer().export_and_import(Scale(), torch.ones(4))


def test_fx_importer_inlines_weights():
    torch = pytest.importorskip("torch")
    module = fx_importer().export_and_import(torch.nn.Linear(4, 4), torch.ones(2, 4))
    assert "dialect_resources" in str(module)
    assert isinstance(module, ir.Module)
