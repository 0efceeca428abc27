"""Layers as engineers handle them: copies, files, other types, and gradients that pass through frozen ones."""

import copy
import io
import pickle

import pith
import pytest
import torch
from pith.torch import MaskedLinear, QuantizedLinear, SparseLinear


def masked():
    layer = MaskedLinear(64, 32, granularity=(8, 1))
    layer.pattern = layer.strongest(0.2)
    return layer


LAYERS = {
    "2:4": lambda: SparseLinear("C0(2:4)", 64, 32),
    "csr": lambda: SparseLinear("csr", 64, 32),
    "masked": masked,
    "i8 2:4": lambda: QuantizedLinear(torch.nn.Linear(64, 32), pith.Quantized("C0(2:4)")),
    "i4": lambda: QuantizedLinear(torch.nn.Linear(64, 32), pith.Quantized(bits=4, group=32)),
}
each = pytest.mark.parametrize("name", LAYERS)


@each
def test_copies_and_files(name):
    torch.manual_seed(1)
    layer, x, other = LAYERS[name](), torch.randn(5, 64), LAYERS[name]()
    expected = layer(x)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(again(x), expected)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other(x)
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(x), expected)


@pytest.mark.parametrize("granularity", [(1, 1), (8, 1)])
def test_masked_layers_learn_after_inference(granularity):
    """What an inference makes and keeps, patterns that were set in one too, serves steps of training."""
    layer, x = MaskedLinear(64, 32, granularity=granularity), torch.randn(5, 64)
    for density in (1.0, 0.9):
        with torch.inference_mode():
            layer.pattern = layer.strongest(density)
            layer(x)
        (gradient,) = torch.autograd.grad(layer(x).sum(), layer.weight)
        torch.testing.assert_close(gradient, x.sum(0).expand(32, 64) * layer.mask)


@pytest.mark.parametrize("inside", [False, True])
def test_masks_may_be_changed_in_place(inside):
    """Tensors of an inference count no versions."""
    layer, x = masked(), torch.randn(5, 64)
    with torch.inference_mode():
        if inside:
            layer.pattern = layer.strongest(0.2)
        layer(x)
        layer.kept[:] = False
        layer.kept[0, 0] = True
        assert layer.pattern.count == 1 and layer.mask.sum() == 8
        torch.testing.assert_close(layer(x), layer.to_linear()(x))


def test_masked_layers_are_made_without_memory():
    with torch.device("meta"):
        layer = MaskedLinear(64, 32)
    assert layer.weight.is_meta and layer.pattern.density == 1


def test_a_state_brings_its_own_pattern():
    """Two models pruned by magnitude store different elements, and perhaps not as many."""
    torch.manual_seed(4)
    saved, other = (torch.nn.Linear(64, 32) for _ in range(2))
    torch.nn.init.sparse_(saved.weight, 0.9)
    source, layer = (SparseLinear.from_linear(linear, "csr") for linear in (saved, other))
    x, values = torch.randn(5, 64), layer.values
    layer(x).sum().backward()
    torch.nn.Sequential(layer).load_state_dict(torch.nn.Sequential(source).state_dict())
    torch.testing.assert_close(layer(x), saved(x))
    assert layer.values is values and values.grad is None  # the optimizer goes on with it
    state = source.state_dict()
    layer.load_state_dict({**state, "coordinates_1": state["coordinates_1"][:-1]})
    with pytest.raises(pith.FormatError):
        layer(x)
    two_of_four = SparseLinear("C0(2:4)", 64, 32)
    with pytest.raises(RuntimeError, match="size mismatch"):
        two_of_four.load_state_dict({**two_of_four.state_dict(), "values": torch.ones(5)})


@pytest.mark.parametrize("name", ["2:4", "csr", "i8 2:4"])
def test_states_of_dense_layers_are_refused_with_advice(name):
    model, dense = torch.nn.Sequential(LAYERS[name]()), torch.nn.Sequential(torch.nn.Linear(64, 32)).state_dict()
    maker = "QuantizedLinear" if "i8" in name else "SparseLinear.from_linear"
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=rf'"0.weight" is the weight of a dense layer.*then {maker}\(linear'):
            model.load_state_dict(dense, strict=strict)
    with pytest.raises(RuntimeError) as raised:  # something else is missing
        model.load_state_dict({})
    assert "dense layer" not in str(raised.value)


@pytest.mark.parametrize(
    "saved, other",
    [
        (lambda: SparseLinear("C0(2:4)", 64, 64), lambda: SparseLinear("M0(2:4)", 64, 64)),
        (lambda: SparseLinear("csr", 64, 64), lambda: SparseLinear("csc", 64, 64)),
        (lambda: SparseLinear("C0(2:4)", 64, 32, bias=False), lambda: SparseLinear("C0(2:4)", 32, 64, bias=False)),
        (
            lambda: QuantizedLinear(torch.nn.Linear(64, 64), pith.Quantized("C0(2:4)")),
            lambda: QuantizedLinear(torch.nn.Linear(64, 64), pith.Quantized("M0(2:4)")),
        ),
    ],
)
def test_states_of_other_formats_are_refused(saved, other):
    """Their buffers have the same names and sizes."""
    state, model = torch.nn.Sequential(saved()).state_dict(), torch.nn.Sequential(other())
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=r'"0" holds .* as .*, the state .* as .*: make the layer with'):
            model.load_state_dict(state, strict=strict)
    del state["0.stored"]
    model.load_state_dict(state)  # of before formats were part of it


def test_other_notations_of_a_format_are_the_same():
    """``V(1)``: no rows share."""
    torch.manual_seed(7)
    one, two = SparseLinear("C0(2:4)", 64, 32), SparseLinear("V(1)C0(2:4)", 64, 32)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.weight, two.weight)


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(name, dtype):
    torch.manual_seed(2)
    layer, x = LAYERS[name](), torch.randn(5, 64)
    expected = layer(x)
    y = layer.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), expected, rtol=5e-2, atol=5e-2)
    if isinstance(layer, QuantizedLinear):
        assert layer.scales.dtype == torch.float32


@pytest.mark.parametrize("name", ["i8 2:4", "i4"])
def test_gradients_pass_through_quantised_layers(name):
    torch.manual_seed(3)
    layer, x = LAYERS[name](), torch.randn(2, 3, 64, requires_grad=True)
    dense = layer.to_linear()
    g = torch.randn(2, 3, 32)
    (expected,) = torch.autograd.grad(dense(x), x, g)
    (found,) = torch.autograd.grad(layer(x), x, g)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_second_derivatives_of_quantised_layers_are_refused_where_they_are_not_known():
    layer, x = LAYERS["i4"](), torch.randn(3, 64, requires_grad=True)

    def second(f, layer):
        (gradient,) = torch.autograd.grad(f(layer(x.square())).sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.sum(), x)[0]

    torch.testing.assert_close(second(torch.neg, layer), second(torch.neg, layer.to_linear()), rtol=1e-4, atol=1e-4)
    with pytest.raises(pith.UnsupportedError, match="gradients of its gradients"):
        second(torch.square, layer)


def test_steps_decide_nothing_again(monkeypatch):
    """What products of a layer choose depends on its pattern, not on its values."""
    torch.manual_seed(5)
    layer, x = SparseLinear("C0(2:4)", 64, 32), torch.randn(5, 64, requires_grad=True)
    layer(x).sum().backward()
    for module in ("pith.functional.linear.choice", "pith.functional.matmul.plan"):
        monkeypatch.setattr(f"{module}.choose", None)
    with torch.no_grad():
        layer.values.mul_(2)
    y = layer(x)
    y.sum().backward()
    torch.testing.assert_close(y, layer.to_linear()(x))


def test_the_pattern_stores_the_values_of_today():
    torch.manual_seed(6)
    dense = torch.nn.Linear(256, 256)
    dense.weight.data *= torch.rand(256, 256) < 0.7
    layer, x = SparseLinear.from_linear(dense, "csr"), torch.randn(256, 256)
    kept = layer.pattern
    for _ in range(2):
        expected = x @ layer.to_linear().weight.T
        torch.testing.assert_close(pith.linear(x, layer.pattern), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(pith.matmul(layer.pattern, x.T).T, expected, rtol=1e-4, atol=1e-4)
        assert layer.pattern is kept
        with torch.no_grad():
            layer.values.mul_(2)  # products keep dense copies of it
    with torch.autocast("cpu", torch.bfloat16):
        torch.compile(layer, backend="aot_eager")(x)
    assert layer.pattern.values.dtype == "float32"
    layer.double()
    assert layer.pattern.values.ctypes.data == layer.values.data_ptr()
    assert layer.pattern.values.dtype == "float64"
