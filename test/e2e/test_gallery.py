"""Formats of the literature, each by its notation: pruned, packed, multiplied, compared with float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest

GALLERY = {
    "dense": "M0->C0",
    "dense in two ranks": "C1(4:4)->C0(4:4)",
    "2:4": "C0(2:4)",
    "HighLight, 60 %": "C1(4:5)->C0(2:4)",
    "three ranks": "C2(1:2)->C1(3:4)->C0(2:4)",
    "V:N:M": "V(16)C1(1:4)->C0(2:4)",
    "vector-wise": "V(8)C0(1:4)",
    "N:M of blocks": "B(4x4)C0(1:2)",
    "int8 blocks": "B(4x1)C0(1:4)",
    "groups 8 apart": "C2->C0(8)->C1(1:4)",
    "CSR": "C0(*)",
    "CSC": "C0->M0(*)",
    "DCSR": "M0(*)->C0(*)",
    "BSR": "B(16x32)C0(*)",
    "BSR, written out": "M1->C1(*)->M0(4)->C0(8)",
    "bitmask": "C0(bitmask)",
    "list of 2:4 groups": "C1(*)->C0(2:4)",
    "bitmask of blocks of 2:4": "V(4)C1(bitmask)->C0(2:4)",
    "N:M along the rows": "C0->M1->M0(2:4)",
    "padded": "V(3)C1(1:2)->C0(3:7) pad",
}

RNG = np.random.default_rng(17)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("name", GALLERY)
def test_a_product(name, dtype):
    text, shape = GALLERY[name], (48, 160)
    w = RNG.integers(-9, 9, shape).astype(dtype) * (RNG.random(shape) < 0.6)
    kept = pith.prune(w.astype(dtype), text)
    stored = pith.compress(kept, text)
    assert str(stored.hss) == text and stored.format == pith.HSS.parse(text).to_format()
    assert np.count_nonzero(kept) <= stored.hss.density * np.prod(stored.format.padded_shape(shape))
    x = RNG.integers(-9, 9, (160, 7)).astype(dtype)
    out = np.full((48, 7), np.nan if dtype == "float32" else 77).astype(dtype)
    pith.matmul(stored, x, out=out)
    ref = np.float64(kept) @ np.float64(x)
    assert np.linalg.norm(out - ref) <= 1e-5 * np.linalg.norm(ref)


def test_a_flattened_convolution_is_a_product():
    """``im2col`` with the weight's channels and window as one dimension, as HighLight flattens them."""
    torch = pytest.importorskip("torch")
    w = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    kept = pith.prune(w, "MCRS: CRS1(3:4)->CRS0(1:3)")
    x = torch.randn(1, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    columns = torch.nn.functional.unfold(x, 3)[0].contiguous()
    stored = pith.compress(kept, "MCRS: CRS1(3:4)->CRS0(1:3)")
    ref = torch.nn.functional.conv2d(x.double(), kept.double())[0].reshape(8, -1)
    out = torch.as_tensor(pith.matmul(stored, columns)).double()
    assert torch.linalg.norm(out - ref) <= 1e-5 * torch.linalg.norm(ref)
