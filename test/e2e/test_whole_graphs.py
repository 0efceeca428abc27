"""Layers with stored weights inside of one graph: ``torch.compile(fullgraph=True)``, ``torch.export``, and back."""

import subprocess
import sys

import pith
import pytest
import torch
from pith.torch import MaskedLinear, QuantizedLinear, SparseLinear
from pith.torch.autograd import stored
from torch._dynamo.utils import counters


def masked(density, granularity):
    layer = MaskedLinear(64, 64, granularity=granularity)
    layer.pattern = layer.strongest(density)
    return layer


LAYERS = {
    "2:4": lambda: SparseLinear("C0(2:4)", 64, 64),
    "csr": lambda: SparseLinear.from_linear(torch.nn.Linear(64, 64), "csr"),
    "dense": lambda: SparseLinear("dense", 64, 64, bias=False),
    "i8 2:4": lambda: QuantizedLinear(torch.nn.Linear(64, 64), pith.Quantized("C0(2:4)")),
    "masked": lambda: masked(0.25, (8, 1)),
    "masked, most kept": lambda: masked(0.75, (16, 16)),
    "i4": lambda: QuantizedLinear(torch.nn.Linear(64, 64), pith.Quantized(bits=4, group=32)),
}
each = pytest.mark.parametrize("name", LAYERS)


class Around(torch.nn.Module):
    """Ops of torch on both sides of a layer."""

    def __init__(self, layer):
        super().__init__()
        self.first, self.layer = torch.nn.Linear(64, 64), layer

    def forward(self, x):
        return torch.relu(self.layer(self.first(x) * 2)) + 1


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@each
def test_one_graph_for_all_batches_with_gradients(name, backend):
    model = Around(LAYERS[name]())
    whole = torch.compile(model, fullgraph=True, backend=backend)
    leaves = [p for p in model.parameters() if p.requires_grad]
    for shape in ((8, 64), (5, 64), (9, 64), (33, 64)):
        x, upstream = torch.randn(shape, requires_grad=True), torch.randn(shape)
        result, expected = whole(x), model(x)
        torch.testing.assert_close(result, expected)
        gradients = torch.autograd.grad(result, [x, *leaves], upstream)
        torch.testing.assert_close(gradients, torch.autograd.grad(expected, [x, *leaves], upstream))
    assert counters["stats"]["unique_graphs"] == 2  # as for torch's own layers: of the first size, and of any
    assert not counters["graph_break"]


@each
def test_an_export_has_the_layer_in_it_and_comes_back(name):
    model, x = Around(LAYERS[name]()).eval(), torch.randn(8, 64)
    batch = torch.export.Dim("batch")
    for strict in (False, True):
        program = torch.export.export(model, (x,), dynamic_shapes=({0: batch},), strict=strict)
        y = torch.randn(5, 64)
        expected = model(y)
        torch.testing.assert_close(program.module()(y), expected)
        kernel = pith.compile(program, path="sparse")
        torch.testing.assert_close(kernel(y), expected.detach(), rtol=1e-4, atol=1e-5)
        assert ("layer.weight" in kernel.explain()) == (name != "masked, most kept")
        assert kernel.weight_bytes == pith.compile(model, (x,), path="sparse").weight_bytes


@pytest.mark.parametrize("name", ["2:4", "i4", "masked"])
def test_exports_are_files(name, tmp_path):
    model, x = Around(LAYERS[name]()).eval(), torch.randn(8, 64)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    torch.save((x, model(x).detach()), tmp_path / "example.pt")
    script = (
        "import torch, sys, pith.torch.pattern_ops\n"
        "x, expected = torch.load(sys.argv[1] + '/example.pt')\n"
        "program = torch.export.load(sys.argv[1] + '/model.pt2')\n"
        "torch.testing.assert_close(program.module()(x), expected)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300)


def test_layers_of_a_program_that_are_one_stay_one():
    layer = LAYERS["2:4"]()
    model, x = torch.nn.Sequential(layer, torch.nn.ReLU(), layer).eval(), torch.randn(8, 64)
    kernel = pith.compile(torch.export.export(model, (x,)), path="sparse")
    torch.testing.assert_close(kernel(x), model(x).detach(), rtol=1e-4, atol=1e-5)
    assert kernel.weight_bytes == pith.compile(model, (x,), path="sparse").weight_bytes
    alone = pith.compile(torch.export.export(layer, (x,)), path="sparse")
    torch.testing.assert_close(alone(x), layer(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["2:4", "i4", "masked"])
def test_kernels_of_captured_graphs_hold_the_layers(name):
    model, x = Around(LAYERS[name]()).eval(), torch.randn(8, 64)
    fast = torch.compile(model, backend="pith", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)
        model.layer.bias.add_(1)
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)


def test_kernels_of_captured_graphs_follow_patterns():
    """Also where the weight is stored otherwise then: dense, or in blocks; twice without a call between, too."""
    model, x = Around(LAYERS["masked"]()).eval(), torch.randn(8, 64)
    fast = torch.compile(model, backend="pith", fullgraph=True)
    with torch.inference_mode():
        for density in (0.25, 0.1, 0.1, 0.9, 0.3, 0.0):
            for _ in range(2):
                model.layer.pattern = model.layer.strongest(density, torch.rand(64, 64))
            torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)


def test_a_graph_sees_other_patterns_values_and_types(monkeypatch):
    layer, other, x = LAYERS["2:4"](), LAYERS["2:4"](), torch.randn(8, 64)
    whole = torch.compile(layer, fullgraph=True, backend="aot_eager")
    optimizer, checks = torch.optim.SGD(layer.parameters(), lr=0.1), []
    whole(x)
    monkeypatch.setattr(stored._Kind, "of", lambda self, b, of=stored._Kind.of: checks.append(1) or of(self, b))
    for _ in range(3):
        whole(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(whole(x), layer(x))
    assert not checks  # the index is checked once
    layer.load_state_dict(other.state_dict())
    torch.testing.assert_close(whole(x), other(x))
    assert len(checks) == 2  # this layer's, and the other's
    with torch.autocast("cpu", torch.bfloat16):
        y = whole(x)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y, layer(x))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_graph_serves_all_patterns(backend):
    """Of one granularity: what is kept is read in every call, gradients too; against float64."""
    layer, x = masked(0.25, (8, 1)), torch.randn(24, 64)
    whole, bias = torch.compile(layer, fullgraph=True, backend=backend), layer.bias
    assert bias is not None
    for density in (0.25, 0.1, 0.9, 0.0, 1.0):
        layer.pattern = layer.strongest(density)
        y = whole(x)
        (own,) = torch.autograd.grad(y.square().sum(), layer.weight)
        weight = (layer.weight * layer.mask).double().detach().requires_grad_()
        expected = x.double() @ weight.T + bias.double().detach()
        (gradient,) = torch.autograd.grad(expected.square().sum(), weight)
        torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(own.double(), gradient * layer.mask, rtol=1e-4, atol=1e-4)
    assert counters["stats"]["unique_graphs"] == 1
    layer.kept[:] = False
    layer.kept[0, 0] = True
    torch.testing.assert_close(whole(x), layer(x))
    assert layer.pattern.count == 1


def test_what_does_not_fit_is_said_while_tracing():
    layer = LAYERS["2:4"]()
    with pytest.raises(pith.ShapeError, match="64 features"):
        torch.export.export(layer, (torch.randn(4, 63),))
    with pytest.raises(pith.ShapeError, match="64 features"):
        torch.export.export(LAYERS["i4"](), (torch.randn(4, 63),))
    with pytest.raises(pith.UnsupportedError, match="cannot trace what is stored"):
        torch.export.export(Multiplied(LAYERS["2:4"]()), (torch.randn(4, 64),))


class Multiplied(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x @ self.layer.weight.T


@pytest.mark.parametrize("name", ["2:4", "i4", "masked"])
def test_second_derivatives_are_refused(name):
    x = torch.randn(4, 64, requires_grad=True)
    traced = torch.export.export(LAYERS[name](), (x.detach(),)).module()
    (gradient,) = torch.autograd.grad(traced(x).square().sum(), x, create_graph=True)
    with pytest.raises(pith.UnsupportedError, match="gradients of its gradients"):
        torch.autograd.grad(gradient.sum(), x)


class Bare(torch.nn.Module):
    """The op itself, without its layer."""

    def __init__(self, layer):
        super().__init__()
        self.values, self.text = layer.values, layer._text
        self.register_buffer("coordinates", layer.coordinates_2)

    def forward(self, x, scale=None):
        values = self.values if scale is None else self.values * scale
        return torch.ops.pith.sparse_linear(x, values, None, [self.coordinates], self.text)


def test_programs_that_cannot_be_taken_say_what_can():
    bare, x = Bare(LAYERS["2:4"]()).eval(), torch.randn(4, 64)
    with pytest.raises(pith.ImportProgramError, match=r"(?s)pith.sparse_linear.*what torch.export makes"):
        pith.compile(bare, (x,))
    kernel = pith.compile(torch.export.export(bare, (x,)), path="sparse")
    torch.testing.assert_close(kernel(x), bare(x).detach(), rtol=1e-4, atol=1e-5)
    with pytest.raises(pith.UnsupportedError, match=r"(?s)is computed.*outside of torch.autocast"):
        pith.compile(torch.export.export(bare, (x, torch.tensor(2.0))))


@each
def test_ops_obey_torch(name):
    layer, x = LAYERS[name](), torch.randn(3, 64, requires_grad=True)
    if isinstance(layer, SparseLinear):
        metadata = [getattr(layer, n) for n in layer._metadata]
        op, given = torch.ops.pith.sparse_linear.default, (x, layer.values, layer.bias, metadata, layer._text)
    elif isinstance(layer, MaskedLinear):
        mask = layer.kept, layer._extents, layer.dense_above
        op, given = torch.ops.pith.masked_linear.default, (x, layer.weight, layer.bias, *mask)
    else:
        weight = [getattr(layer, n) for n in layer._names]
        op, given = torch.ops.pith.quantized_linear.default, (x, layer.bias, weight, layer._text)
    torch.library.opcheck(op, given)
