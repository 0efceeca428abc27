"""Products with formats of diagonals, against float64: both sides, transposed, every path, odd shapes."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from pith.torch import sparse_linear, sparsify_

RNG = np.random.default_rng(23)

FORMATS = (
    "band(1:2)",
    "band(0:0)",
    "band(40:40)",
    "band(16:15)",
    "dia",
    "d1 : dense, d0 - d1 : band(2:1)",
    "d0 : dense, d1 - d0 : compressed",
    "d0 floordiv 4 : dense, d1 - d0 : compressed, d0 mod 4 : dense pad",
)
SHAPES = ((70, 70), (37, 90), (90, 37), (1, 4), (4, 1), (0, 3))


def case(text: str, shape: tuple[int, int], dtype=np.float32):
    w = (RNG.standard_normal(shape) * (RNG.random(shape) < 0.1) * 8).astype(dtype)
    w = pith.prune(w, text)
    return w, pith.compress(w, text)


def check(got: np.ndarray, a: np.ndarray, b: np.ndarray, tolerance: float = 1e-6) -> None:
    reference = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(got - reference) <= tolerance * (np.linalg.norm(reference) + 1e-30)


@pytest.mark.parametrize("text", FORMATS)
def test_products(text):
    for shape in SHAPES:
        w, a = case(text, shape)
        for n in (1, 5, 40):
            x = RNG.standard_normal((shape[1], n)).astype(np.float32)
            y = RNG.standard_normal((n, shape[0])).astype(np.float32)
            out = np.full((shape[0], n), np.nan, np.float32)
            check(pith.matmul(a, x, out=out, variant="sparse"), w, x)
            check(pith.matmul(y, a, variant="sparse"), y, w)
            check(pith.matmul(a.T, np.ascontiguousarray(y.T), variant="sparse"), w.T, y.T)


@pytest.mark.parametrize("text", ["band(1:2)", "dia"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int8"])
def test_element_types(text, dtype):
    w, a = case(text, (33, 50), dtype)
    x = (RNG.standard_normal((50, 9)) * 4).astype(dtype)
    check(pith.matmul(a, x, variant="sparse").astype(np.float64), w, x, 1e-3 if dtype == "float16" else 1e-12)


@pytest.mark.parametrize("text", ["band(1:2)", "dia"])
def test_what_is_not_stored_meets_nothing(text):
    """The ends of diagonals are stored, but no element: what a kernel would multiply them with must not matter."""
    a = pith.compress(np.eye(12, k=1, dtype=np.float32), text)
    x = np.ones((12, 8), np.float32)
    x[0], x[-1] = np.nan, np.inf
    rows, columns = a.coordinates()[0]
    touched = np.unique(rows[(columns == 0) | (columns == 11)])
    got = pith.matmul(a, x, variant="sparse")
    np.testing.assert_array_equal(np.flatnonzero(~np.isfinite(got).all(1)), touched)


@pytest.mark.parametrize("text", ["band(1:2)", "dia"])
def test_sampling_repacking_quantising_and_gradients(text):
    w, a = case(text, (40, 30))
    x, y = (RNG.standard_normal(s).astype(np.float32) for s in ((40, 20), (20, 30)))
    stored = pith.compress(w, text).astype(np.float32)
    pattern = np.zeros_like(w)
    pattern[tuple(stored.coordinates()[0])] = 1
    sampled = pith.sddmm(x, y, a).validate()
    np.testing.assert_allclose(sampled.to_dense(), (x.astype(np.float64) @ y) * pattern, atol=1e-4)
    np.testing.assert_array_equal(pith.repack(a, 2 * w).validate().to_dense(), 2 * w)
    inputs = RNG.standard_normal((7, 30)).astype(np.float32)
    for q in (pith.quantize(a), pith.quantize(a, bits=4, group=8)):
        check(pith.linear(inputs, q), inputs, q.dequantize().to_dense().T, 1e-5)
    values = torch.from_numpy(a.values.copy()).requires_grad_()
    tensor = torch.from_numpy(inputs).requires_grad_()
    sparse_linear(tensor, values, a).sum().backward()
    np.testing.assert_allclose(tensor.grad, np.tile(w.sum(0), (7, 1)), rtol=1e-4, atol=1e-4)
    gradient = pith.SparseTensor(a.shape, a.format, (*a.buffers[:-1], values.grad.numpy())).validate()
    np.testing.assert_allclose(gradient.to_dense(), pattern * inputs.sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", ["band(2:1)", "dia"])
@pytest.mark.parametrize("path", ["auto", "loops", "sparsifier"])
def test_compiled_programs(text, path):
    w, _ = case(text, (24, 40))
    layer = torch.nn.Linear(40, 24)
    layer.weight.data = torch.from_numpy(w)
    x = torch.randn(5, 40)
    k = pith.compile(torch.nn.Sequential(layer, torch.nn.ReLU()), (x,), sparsity={"*.weight": text}, path=path)
    torch.testing.assert_close(k(x), torch.relu(layer(x)).detach(), rtol=1e-4, atol=1e-5)


def test_files(tmp_path):
    w, a = case("band(1:2)", (9, 9))
    pith.write(tmp_path / "a.npz", a)
    back = pith.read(tmp_path / "a.npz")
    assert back.format == a.format
    np.testing.assert_array_equal(back.to_dense(), w)


def test_training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(24, 24), torch.nn.Tanh(), torch.nn.Linear(24, 2))
    sparsify_(model, {"0": "band(2:2)"})
    x, y = torch.randn(64, 24), torch.randn(64, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model[0].pattern.validate()  # the ends of diagonals stay zero
    pith.validate(model[0].to_linear().weight.data, "band(2:2)")
