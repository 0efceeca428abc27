"""``pith.linear`` and ``SparseLinear`` of few rows: dense is a rival, calls time it, copies follow what is stored."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from cpu_programs import check, random_dense, random_sparse, wide
from pith.formats import HSS, Format
from pith.functional.linear import choice, ways
from pith.functional.matmul import copies, dense
from pith.functional.matmul.copies import products_of
from pith.functional.turns import Turns

RNG = np.random.default_rng(18)

FORMATS = {"csr": Format.csr(), "hss": HSS.parse("C0(2:4)").to_format()}

EVERY = (ways.STORED, ways.OWN, ways.LIBRARY)


def every_way(monkeypatch, order=EVERY):
    """All ways are timed, whatever is predicted, in this order."""
    monkeypatch.setattr(ways, "ways_of", lambda a, *_: order if not a.format.is_dense else (order[0], ways.LIBRARY))
    ways.forget_ways()


def only(monkeypatch, way):
    monkeypatch.setattr(ways, "ways_of", lambda *_: (way,))
    ways.forget_ways()


@pytest.fixture(autouse=True)
def _forget():
    yield
    ways.forget_ways()


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_every_way_gives_the_same(fmt, element, monkeypatch):
    every_way(monkeypatch)
    w = random_sparse(RNG, (53, 64), element, FORMATS[fmt])
    a, bias = pith.compress(w, FORMATS[fmt]), random_dense(RNG, (53,), element)
    for shape in ((64,), (5, 64), (2, 7, 64)):
        x = random_dense(RNG, shape, element)
        expected = wide(x) @ wide(w).T
        for _ in range(40):
            check(pith.linear(x, a, bias), expected + wide(bias), element)
        check(pith.linear(x, w), expected, element)
        check(pith.linear(x, a, None, "relu"), np.maximum(expected, 0), element)


@pytest.mark.parametrize("way", EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_what_is_not_stored_is_zero_by_every_way(activation, bad, way, monkeypatch):
    if way is ways.LIBRARY and activation:
        pytest.skip("the library has no activations")
    only(monkeypatch, way)
    a, x = pith.compress(np.eye(8, dtype=np.float32), "csr"), np.ones((3, 8), np.float32)
    x[1, 2] = bad
    expected = np.maximum(x, 0) if activation else x
    np.testing.assert_array_equal(pith.linear(x, a, activation=activation), expected)
    got = pith.linear(torch.from_numpy(x), a, activation=activation)
    np.testing.assert_array_equal(got.numpy(), expected)


def test_arrays_and_tensors_come_back_as_what_they_were(monkeypatch):
    for way in EVERY:
        only(monkeypatch, way)
        a = pith.compress(random_sparse(RNG, (16, 16), "bf16", FORMATS["hss"]), FORMATS["hss"])
        x = torch.randn(3, 16).bfloat16()
        y = pith.linear(x, a)
        assert isinstance(y, torch.Tensor) and y.dtype is torch.bfloat16 and y.shape == (3, 16)
        assert pith.linear(x[0], a).shape == (16,)
        z = pith.linear(random_dense(RNG, (3, 16), "bf16"), a)
        assert isinstance(z, np.ndarray) and z.dtype == a.values.dtype


def test_the_library_is_not_asked_where_torch_casts(monkeypatch):
    only(monkeypatch, ways.LIBRARY)
    a, x = pith.compress(np.eye(8, dtype=np.float32), "csr"), torch.full((2, 8), 1.0009765625)
    with torch.autocast("cpu", torch.bfloat16):
        y = pith.linear(x, a)
    assert y.dtype is torch.float32 and torch.equal(y, x)


def test_few_rows_of_large_weights_are_timed_and_others_are_not():
    large = pith.compress(random_sparse(RNG, (256, 256), "f32", FORMATS["csr"]), "csr")
    small = pith.compress(random_sparse(RNG, (64, 64), "f32", FORMATS["csr"]), "csr")
    plain = (False, None, False)
    assert len(ways.ways_of(small, 4, plain)) == 1
    assert len(ways.ways_of(large, choice.FEW_ROWS + 1, plain)) == 1
    assert ways.LIBRARY not in ways.ways_of(large, 24, (False, "gelu", False))


def test_a_copy_goes_where_it_does_not_pay(monkeypatch):
    """It stays where some number of rows needs it."""
    every_way(monkeypatch, (ways.STORED, ways.OWN))
    a = pith.compress(random_sparse(RNG, (48, 64), "f32", FORMATS["csr"]), "csr")
    faster = {3: ways.STORED, 5: ways.OWN, 7: ways.STORED}
    monkeypatch.setattr(Turns, "fastest", property(lambda self: fastest))
    for rows, copy in ((3, False), (5, True), (7, True)):
        fastest = faster[rows]
        for _ in range(25):
            pith.linear(random_dense(RNG, (rows, 64), "f32"), a)
        assert bool(products_of(a).dense) == copy


def test_copies_are_bounded_all_together(monkeypatch):
    only(monkeypatch, ways.OWN)
    before = copies._bytes
    monkeypatch.setattr(copies, "MOST_DENSE_BYTES", before + 48 * 64 * 4)
    x = random_dense(RNG, (3, 64), "f32")
    first, second = (pith.compress(random_sparse(RNG, (48, 64), "f32", FORMATS["csr"]), "csr") for _ in range(2))
    for a in (first, second):
        check(pith.linear(x, a), wide(x) @ a.to_dense().T, "f32")
    assert products_of(first).dense and not products_of(second).dense
    del first, a
    pith.linear(x, second)
    del second
    assert copies._bytes == before


def test_repacked_values_are_those_that_are_multiplied(monkeypatch):
    every_way(monkeypatch)
    w = random_sparse(RNG, (48, 64), "f32", FORMATS["hss"])
    a, x = pith.compress(w, FORMATS["hss"]), random_dense(RNG, (3, 64), "f32")
    for step in range(60):
        if step % 3 == 0:
            w = w * np.float32(-1.5 if step % 2 else 0.5)
            pith.repack(a, w, out=a)
        check(pith.linear(x, a), wide(x) @ wide(w).T, "f32")


@pytest.mark.parametrize("write", ["copy_", "data", "load_state_dict", "optimizer"])
@pytest.mark.parametrize("way", EVERY)
def test_layers_see_every_write_to_their_values(way, write, monkeypatch):
    only(monkeypatch, way)
    layer, x = pith.torch.SparseLinear("C0(2:4)", 64, 48), torch.randn(3, 64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    frozen = write != "optimizer"
    layer.requires_grad_(not frozen)

    def agrees():
        for _ in range(12):  # more than a copy waits for
            with torch.no_grad():
                torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))

    agrees()
    copy = bool(products_of(layer.pattern).dense)
    assert copy == (frozen and way is not ways.STORED)
    for _ in range(2):
        if write == "copy_":
            with torch.no_grad():
                layer.values.copy_(torch.randn_like(layer.values))
        elif write == "data":
            layer.values.data.mul_(-2)
        elif write == "load_state_dict":
            layer.load_state_dict({k: v * 3 if v.is_floating_point() else v for k, v in layer.state_dict().items()})
        else:
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
        agrees()


@pytest.mark.parametrize("way", EVERY)
def test_layers_that_are_not_frozen_see_writes_that_count_nowhere(way, monkeypatch):
    """As pruning does it: a few elements, through ``data``."""
    only(monkeypatch, way)
    layer, x = pith.torch.SparseLinear("C0(2:4)", 64, 48).eval(), torch.randn(3, 64)
    with torch.no_grad():
        for place in range(1, 24):
            layer.values.data[place * 31] = 0
            torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_steps_of_training_make_no_copies(monkeypatch):
    only(monkeypatch, ways.OWN)
    layer, x = pith.torch.SparseLinear("C0(2:4)", 64, 48), torch.randn(3, 64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(20):
        layer(x).square().sum().backward()
        optimizer.step()
        assert not products_of(layer.pattern).dense


def test_explain_says_what_is_timed_and_what_was(monkeypatch):
    every_way(monkeypatch)
    a, x = (
        pith.compress(random_sparse(RNG, (256, 256), "f32", FORMATS["csr"]), "csr"),
        random_dense(RNG, (24, 256), "f32"),
    )
    text = pith.explain(pith.linear, x, a)
    assert "the first 36 calls time lanes=" in text and "dense:own, dense:library; from then on the fastest" in text
    for _ in range(40):
        pith.linear(x, a)
    text = pith.explain(pith.linear, x, a)
    assert text.count("measured by calls; predicted") == 3 and "the first" not in text
    found = next(v for k, v in products_of(a).plans.items() if k[0] == "ways")
    assert ("keeps an unpacked copy: 262144 bytes" in text) == (found.turns.fastest is not ways.STORED)


def test_a_copy_that_is_made_while_values_change_is_not_kept(monkeypatch):
    """As when one thread unpacks, and another repacks and multiplies."""
    only(monkeypatch, ways.OWN)
    w = random_sparse(RNG, (48, 64), "f32", FORMATS["hss"])
    a, x = pith.compress(w, FORMATS["hss"]), random_dense(RNG, (3, 64), "f32")
    unpack, others = pith.SparseTensor.to_dense, []

    def slow(tensor):
        dense = unpack(tensor)
        if not others:
            others.append(pith.repack(a, 2 * w, out=a))
            pith.linear(x, a)
        return dense

    monkeypatch.setattr(pith.SparseTensor, "to_dense", slow)
    pith.linear(x, a)
    for _ in range(3):
        check(pith.linear(x, a), 2 * wide(x) @ wide(w).T, "f32")
    assert others and products_of(a).dense


def test_weights_that_are_read_only_are_not_copied_in_every_call(monkeypatch):
    only(monkeypatch, ways.LIBRARY)
    w, x = random_dense(RNG, (16, 32), "f32"), random_dense(RNG, (3, 32), "f32")
    w.flags.writeable = False
    viewed, view = [], dense.torch_view
    monkeypatch.setattr(dense, "torch_view", lambda array: viewed.append(array) or view(array))
    check(pith.linear(x, w), wide(x) @ wide(w).T, "f32")
    assert viewed and all(array.flags.writeable for array in viewed)


@pytest.mark.parametrize("way", EVERY)
def test_transforms_of_functions_are_refused_by_every_way(way, monkeypatch):
    only(monkeypatch, way)
    a, x = pith.compress(np.eye(8, dtype=np.float32), "csr"), torch.ones(3, 2, 8)
    for transformed in (
        lambda: torch.vmap(lambda v: pith.linear(v, a))(x),
        lambda: torch.func.jvp(lambda v: pith.linear(v, a), (x,), (x,)),
        lambda: torch.vmap(lambda v: pith.matmul(a, v.T, variant="dense:library"))(x),
    ):
        with pytest.raises(pith.DTypeError):
            transformed()
