"""Weights of compiled modules that are predicted to be faster dense."""

import copy
import re

import numpy as np
import pith
import pytest
import torch
from pith.compiler import rivals
from pith.compiler.rivals import settle
from pith.torch.importer import import_program
from pith.tuning.select import Candidate, rank
from pith.tuning.variants import OWN


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(40, 64)
        self.down = torch.nn.Linear(64, 16)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


FORMATS = {"up.weight": "C1(4:5)->C0(4:4)", "down.weight": "C0(2:4)"}


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = Layer().eval()
    for name, fmt in FORMATS.items():
        weight = layer.get_parameter(name)
        weight.data = pith.prune(weight.data, fmt)
    return layer


@pytest.fixture
def predictions(monkeypatch):
    """Predicted seconds: ``times[density class]`` for dense and for pith's kernel."""
    times = {"dense": 1.0, "up": 1.2, "down": 0.8}

    def predicted(problem, among="auto"):
        name = "dense" if among == OWN else "up" if problem.shape[0] == 64 else "down"
        variant = rank(problem, OWN if among == OWN else "sparse")[0].variant
        return [Candidate(variant.name, times[name], "", variant)]

    monkeypatch.setattr(rivals, "rank", predicted)
    return times


def formats_of(kernel):
    return {p.name: p.format for p in kernel.program.parameters if p.name.endswith("weight")}


def same(kernel, layer, x):
    with torch.no_grad():
        got, want = kernel(x).double(), copy.deepcopy(layer).double()(x.double())
    return float((got - want).norm() / want.norm()) < 1e-5


@pytest.mark.parametrize("dynamic", [None, {"x": {0: "tokens"}}])
def test_a_weight_that_loses_is_kept_dense(layer, predictions, dynamic):
    x = torch.randn(24, 40)
    kernel = pith.compile(layer, (x,), sparsity=FORMATS, dynamic_shapes=dynamic)
    stored = formats_of(kernel)
    assert stored["up.weight"] is None and stored["down.weight"] is not None
    assert same(kernel, layer, x)
    assert re.search(r"up\.weight: kept dense, predicted to take 1 s for 1\.2 s at N = \d+", kernel.explain())
    assert "down.weight: kept dense" not in kernel.explain()


class Product(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(pith.prune(torch.randn(64, 40), "C1(4:5)->C0(4:4)"))

    def forward(self, x):
        return torch.relu(self.weight @ x)


@pytest.mark.parametrize("shape, columns", [((40,), 1), ((3, 40, 24), 24)])
def test_products_with_vectors_and_batches_compete_too(predictions, shape, columns):
    module, x = Product().eval(), torch.randn(shape)
    kernel = pith.compile(module, (x,), sparsity={"weight": "C1(4:5)->C0(4:4)"})
    assert formats_of(kernel) == {"weight": None} and same(kernel, module, x)
    assert f"weight: kept dense, predicted to take 1 s for 1.2 s at N = {columns}" in kernel.explain()
    predictions["up"] = 0.9
    kernel = pith.compile(module, (x,), sparsity={"weight": "C1(4:5)->C0(4:4)"})
    assert None not in formats_of(kernel).values() and same(kernel, module, x)


def test_within_two_percent_the_declared_format_stays(layer, predictions):
    predictions["up"] = 1.01
    kernel = pith.compile(layer, (torch.randn(24, 40),), sparsity=FORMATS)
    assert None not in formats_of(kernel).values() and not kernel.notes


def test_path_sparse_asks_nobody(layer, predictions):
    x = torch.randn(24, 40)
    kernel = pith.compile(layer, (x,), sparsity=FORMATS, path="sparse")
    assert None not in formats_of(kernel).values()
    assert same(kernel, layer, x)


def test_a_weight_kept_dense_must_still_obey_its_format(layer, predictions):
    layer.up.weight.data = torch.ones(64, 40)
    with pytest.raises(pith.FormatError, match=r"up\.weight"):
        pith.compile(layer, (torch.randn(24, 40),), sparsity=FORMATS)


def test_rebinding_keeps_the_decision(layer, predictions):
    x = torch.randn(24, 40)
    twin = Layer().eval()
    for name, fmt in FORMATS.items():
        twin.get_parameter(name).data = pith.prune(twin.get_parameter(name).data, fmt)
    kernel = pith.compile(layer, (x,), sparsity=FORMATS).rebind(twin)
    assert same(kernel, twin, x) and "up.weight: kept dense" in kernel.explain()


def test_a_saved_program_holds_what_was_decided(layer, predictions, tmp_path):
    x = torch.randn(24, 40)
    kernel = pith.compile(layer, (x,), sparsity=FORMATS)
    kernel.save(tmp_path / "layer.pith")
    loaded = pith.load(tmp_path / "layer.pith")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(kernel(x)))


def test_kernels_of_modules_know_how_much_of_a_weight_is_stored():
    torch.manual_seed(0)
    layer = torch.nn.Linear(512, 96).eval()
    kept = torch.rand_like(layer.weight)
    x = torch.randn(40, 512)
    for share, said in ((0.6, "pith.density = 5.625000e-01 : f32"), (0.02, None)):
        with torch.no_grad():
            layer.weight[kept > share] = 0
        program = import_program(layer, (x,), sparsity={"weight": "csr"})
        settled = settle(program, "avx2", competing=False)
        text = str(settled.program.module)
        assert "pith.density" not in text if said is None else said in text
        compiled = pith.compile(layer, (x,), sparsity={"weight": "csr"}, path="sparse")
        torch.testing.assert_close(compiled(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(0, 8), (8, 0)])
def test_weights_of_nothing_compile(sizes):
    module, x = torch.nn.Linear(*sizes).eval(), torch.ones(3, sizes[0])
    kernel = pith.compile(module, (x,), sparsity={"weight": "csr"})
    with torch.no_grad():
        torch.testing.assert_close(kernel(x), module(x))
