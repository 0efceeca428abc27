"""torch's semi-structured tensors in and out, against torch's own conversions (which run on the CPU)."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.semi_structured import storage_of

torch = pytest.importorskip("torch")
conversions = pytest.importorskip("torch.sparse._semi_structured_conversions")

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")

SHAPES = {"float16": (64, 192), "bfloat16": (32, 64), "int8": (32, 384), "float32": (96, 64)}


def pruned(dtype: str):
    """A random tensor that obeys the pattern of its type, many groups of it with fewer non-zeros than may be."""
    generator = torch.Generator().manual_seed(7)
    w = torch.randint(-3, 4, SHAPES[dtype], generator=generator).to(getattr(torch, dtype))
    return pith.prune(w, "C0(1:2)" if dtype == "float32" else "C0(2:4)")


@pytest.mark.parametrize("dtype", SHAPES)
def test_torchs_own_conversion_is_read(dtype):
    w = pruned(dtype)
    packed, meta = conversions.sparse_semi_structured_from_dense_cutlass(w)
    make = torch.sparse.SparseSemiStructuredTensorCUTLASS
    stored = pith.SparseTensor.from_torch(make(w.shape, packed, meta, None, None, None)).validate()
    assert str(stored.format) == str(pith.HSS.parse("C0(1:2)" if dtype == "float32" else "C0(2:4)").to_format())
    np.testing.assert_array_equal(stored.to_dense().astype(np.float64), w.double().numpy())
    assert stored.values.ctypes.data == packed.data_ptr()


@pytest.mark.parametrize("dtype", SHAPES)
def test_torchs_own_conversion_reads_ours(dtype):
    w = pruned(dtype)
    stored = pith.compress(w, "C0(1:2)" if dtype == "float32" else "C0(2:4)")
    out = stored.to_torch()
    dense = conversions.sparse_semi_structured_to_dense_cutlass(out.packed, out.meta)
    assert torch.equal(dense, w)
    again = pith.SparseTensor.from_torch(out)
    assert all(np.array_equal(a, b) for a, b in zip(again.buffers, stored.buffers))


@pytest.mark.parametrize("dtype", SHAPES)
def test_functions_take_one_as_they_take_other_sparse_tensors(dtype):
    w = pruned(dtype)
    packed, meta = conversions.sparse_semi_structured_from_dense_cutlass(w)
    s = torch.sparse.SparseSemiStructuredTensorCUTLASS(w.shape, packed, meta, None, None, None)
    x = torch.randint(-3, 4, (w.shape[1], 5)).to(w.dtype)
    assert torch.equal(pith.matmul(s, x).double(), w.double() @ x.double())
    assert torch.equal(
        pith.matmul(x.t().contiguous(), pith.SparseTensor.from_torch(s).T).double(), (w.double() @ x.double()).t()
    )
    if dtype != "int8":
        assert torch.equal(pith.linear(x.t().contiguous(), s).double(), (w.double() @ x.double()).t())
    np.testing.assert_array_equal(pith.compress(s, "csr").to_dense().astype(np.float64), w.double().numpy())


def test_what_has_no_layout_is_refused():
    w = pruned("float16")
    with pytest.raises(pith.ShapeError, match="wants multiples of 32 x 64, got 16 x 64"):
        pith.compress(w[:16, :64], "C0(2:4)").to_torch()
    with pytest.raises(pith.FormatError, match="no layout"):
        pith.compress(w.double(), "C0(2:4)").to_torch()
    with pytest.raises(pith.DTypeError, match="no semi-structured layout"):
        storage_of(np.zeros((32, 32), np.float16), np.zeros((32, 3), np.int16))


def test_an_opaque_layout_is_refused():
    w = pruned("float16")
    opaque = torch.sparse.SparseSemiStructuredTensorCUSPARSELT(w.shape, w, None, None, None, None)
    with pytest.raises(pith.UnsupportedError, match="one opaque buffer"):
        pith.SparseTensor.from_torch(opaque)
