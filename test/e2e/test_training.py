"""Training sparse layers: gradients against torch's of the masked dense layer, in float64; optimizers; state."""

from __future__ import annotations

import copy
import gc
import io
import weakref

import numpy as np
import pith
import pytest
import torch
from pith.functional.linear import choice as linear_choice
from pith.functional.matmul import copies
from pith.functional.matmul import plan as matmul_plan
from pith.functional.matmul.transposed import Transposed
from pith.pruning import prune
from pith.runtime import kernel_cache
from pith.torch import SparseLinear, sparse_linear, sparsify_
from pith.torch.autograd import linear as autograd_linear
from pith.torch.autograd.dense_rival import Densely, densely
from pith.tuning.select import choose
from pith.tuning.variants import OWN

FORMATS = (
    "csr",
    "coo",
    "C0(2:4)",
    "C1(3:4)->C0(2:4)",
    "V(4)C0(2:4)",
    "V(4)C1(2:4)->C0(2:4)",
    "B(4x4)C0(1:2)",
    "bsr(8x2)",
    "d0 : dense, d1 : bitmask",
    "d0 : dense, d1 : loose_compressed",
    "d1 : dense, d0 : compressed",
)


def weight(out, inner, fmt, dtype=torch.float64, density=0.5):
    w = torch.randn(out, inner, dtype=dtype) * (torch.rand(out, inner) < density)
    return torch.from_numpy(prune(w.numpy(), fmt)) if dtype in (torch.float32, torch.float64) else w


def gradients(layer, x, grad):
    """Result, dx, dW and db of a layer."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(grad)
    return y.detach(), x.grad


def stored_coordinates(tensor):
    coords, _ = tensor.coordinates()
    return torch.from_numpy(coords)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (1,), ()])
def test_gradients_are_those_of_the_masked_dense_layer(fmt, shape):
    torch.manual_seed(0)
    w = weight(32, 48, fmt)
    dense = torch.nn.Linear(48, 32, dtype=torch.float64)
    dense.weight.data.copy_(w)
    sparse = SparseLinear.from_linear(dense, fmt)
    assert torch.equal(sparse.weight, w)
    x, grad = torch.randn(*shape, 48, dtype=torch.float64), torch.randn(*shape, 32, dtype=torch.float64)
    for ours, theirs in zip(gradients(sparse, x, grad), gradients(dense, x, grad)):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sparse.bias.grad, dense.bias.grad, rtol=1e-12, atol=1e-12)
    i, j = stored_coordinates(sparse.pattern)
    order = sparse.pattern.coordinates()[1].size == sparse.values.numel()
    assert order
    torch.testing.assert_close(sparse.values.grad, dense.weight.grad[i, j], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fmt", ["C0(2:4)", "csr", "V(4)C0(2:4)"])
def test_gradcheck(fmt):
    torch.manual_seed(0)
    W = pith.compress(weight(8, 16, fmt), fmt)
    values = torch.from_numpy(W.values.copy()).requires_grad_()
    x = torch.randn(3, 16, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, v, b: sparse_linear(x, v, W, b), (x, values, bias))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 5e-3)])
def test_element_types(dtype, tolerance):
    torch.manual_seed(0)
    layer = SparseLinear("C0(2:4)", 48, 32, dtype=dtype)
    dense = layer.to_linear().double()
    x, grad = torch.randn(20, 48, dtype=dtype), torch.randn(20, 32, dtype=dtype)
    for ours, theirs in zip(gradients(layer, x, grad), gradients(dense, x.double(), grad.double())):
        assert ours.dtype is dtype
        assert (ours.double() - theirs).norm() <= tolerance * theirs.norm()
    i, j = stored_coordinates(layer.pattern)
    assert layer.values.grad.dtype is dtype
    reference = dense.weight.grad[i, j]
    assert (layer.values.grad.double() - reference).norm() <= tolerance * reference.norm()


@pytest.mark.parametrize("needed", ["x", "values", "bias", "nothing"])
def test_only_the_gradients_asked_for(needed):
    layer = SparseLinear("C0(2:4)", 16, 8)
    for name, p in layer.named_parameters():
        p.requires_grad_(name == needed)
    x = torch.randn(3, 16, requires_grad=needed == "x")
    y = layer(x)
    assert y.requires_grad == (needed != "nothing")
    if needed != "nothing":
        y.sum().backward()
    found = {"x": x.grad, "values": layer.values.grad, "bias": layer.bias.grad}
    assert [name for name, grad in found.items() if grad is not None] == ([needed] if needed != "nothing" else [])


def test_gradients_add_up_over_calls():
    torch.manual_seed(0)
    layer = SparseLinear("C0(2:4)", 16, 8, bias=False, dtype=torch.float64)
    x = torch.randn(3, 16, dtype=torch.float64)
    (layer(x) + layer(2 * x)).sum().backward()
    twice = layer.values.grad.clone()
    layer.zero_grad()
    layer(3 * x).sum().backward()
    torch.testing.assert_close(twice, layer.values.grad)


def classifier(width=64):
    return torch.nn.Sequential(torch.nn.Linear(32, width), torch.nn.ReLU(), torch.nn.Linear(width, 4))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_training_lowers_the_loss_and_compiles_once(optimizer):
    torch.manual_seed(0)
    model = classifier()
    assert sparsify_(model, {"0": "C1(3:4)->C0(2:4)"}) == ("0",)
    x = torch.randn(256, 32)
    target = (x @ torch.randn(32, 4)).argmax(1)
    steps = optimizer(model.parameters(), lr=0.5 if optimizer is torch.optim.SGD else 0.01)
    losses, compiled = [], []
    for batch in (256, 256, 100, 256, 31) * 12:
        loss = torch.nn.functional.cross_entropy(model(x[:batch]), target[:batch])
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
        compiled.append(kernel_cache().stats.compiled)
    assert losses[-2] < 0.5 * losses[0]
    assert compiled[-1] == compiled[4]  # one round of batch sizes; nothing after it
    pruned = model[0].weight.reshape(64, -1, 16)
    assert ((pruned != 0).sum(-1) <= 6).all()


def test_training_follows_the_masked_dense_layer():
    torch.manual_seed(0)
    dense = torch.nn.Linear(32, 16, dtype=torch.float64)
    sparse = SparseLinear.from_linear(dense, "C0(2:4)")
    dense.weight.data.copy_(sparse.weight)
    mask = dense.weight.data != 0
    ours, theirs = torch.optim.Adam(sparse.parameters(), lr=0.01), torch.optim.Adam(dense.parameters(), lr=0.01)
    for _ in range(10):
        x = torch.randn(8, 32, dtype=torch.float64)
        for layer, step in ((sparse, ours), (dense, theirs)):
            step.zero_grad()
            layer(x).square().sum().backward()
            if layer is dense:
                dense.weight.grad *= mask
            step.step()
    torch.testing.assert_close(sparse.weight, dense.weight.data * mask, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(sparse.bias, dense.bias, rtol=1e-10, atol=1e-12)


def test_state_dict_carries_the_pattern():
    torch.manual_seed(0)
    x = torch.randn(5, 16, requires_grad=True)
    first, second = (SparseLinear("C0(2:4)", 16, 8) for _ in range(2))
    second(x).sum().backward()  # makes an index of the pattern that is about to change
    assert list(first.state_dict()) == ["values", "bias", "coordinates_2", "stored"]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file))
    assert torch.equal(second.weight, first.weight)
    grads = []
    for layer in (first, second):
        x.grad = None
        layer(x).sum().backward()
        grads.append(x.grad)
    assert torch.equal(*grads)
    torch.testing.assert_close(grads[0], first.weight.sum(0).expand(5, 16))


def test_a_broken_pattern_in_a_state_dict_is_found():
    layer = SparseLinear("csr", 16, 8)
    state = copy.deepcopy(layer.state_dict())
    state["coordinates_1"][3] = 99
    layer.load_state_dict(state)
    with pytest.raises(pith.FormatError):
        layer(torch.randn(2, 16))


def test_copies_are_independent():
    layer = SparseLinear("C0(2:4)", 16, 8)
    x = torch.randn(5, 16)
    before = layer(x)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.values.zero_()
    assert torch.equal(layer(x), before)
    assert not twin(x).isnan().any() and torch.equal(twin.weight, torch.zeros(8, 16))


def test_converted_layers_keep_working():
    layer = SparseLinear("C0(2:4)", 16, 8)
    x = torch.randn(5, 16, dtype=torch.float64)
    wide = copy.deepcopy(layer).double()
    torch.testing.assert_close(wide(x), layer(x.float()).double(), rtol=1e-5, atol=1e-5)


def test_to_linear_computes_the_same():
    layer = SparseLinear("V(4)C0(2:4)", 16, 8).eval()
    x = torch.randn(5, 16)
    dense = layer.to_linear()
    torch.testing.assert_close(dense(x), layer(x))
    assert not dense.training
    k = pith.compile(dense, (x,), sparsity={"weight": "V(4)C0(2:4)"})
    torch.testing.assert_close(k(x), layer(x).detach(), rtol=1e-5, atol=1e-5)


def test_sparsify_matches_names_and_shares_tied_layers():
    class Block(torch.nn.Module):
        def __init__(self, tied):
            super().__init__()
            self.intermediate = torch.nn.ModuleDict({"dense": torch.nn.Linear(16, 32)})
            self.output = torch.nn.Linear(32, 16)
            self.tied = tied

    tied = torch.nn.Linear(16, 16)
    model = torch.nn.ModuleList([Block(tied), Block(tied)]).eval()
    names = sparsify_(model, {"*.intermediate.dense": "C0(2:4)", "0.tied": pith.NM(1, 4)})
    assert names == ("0.intermediate.dense", "0.tied", "1.intermediate.dense", "1.tied")
    assert model[0].tied is model[1].tied and isinstance(model[0].tied, SparseLinear)
    assert type(model[0].output) is torch.nn.Linear
    assert not model[0].tied.training
    assert "format=C0(1:4)" in repr(model[0].tied)


def test_the_transpose_is_made_once_and_dies_with_its_pattern():
    from pith.torch.autograd import linear as autograd

    gc.collect()
    layer = SparseLinear("C0(2:4)", 16, 8)
    before = len(autograd._transposes)
    for _ in range(3):
        x = torch.randn(5, 16, requires_grad=True)
        layer(x).sum().backward()
    assert len(autograd._transposes) == before + 1
    gone = weakref.ref(layer.pattern)
    del layer, x
    gc.collect()
    assert gone() is None and len(autograd._transposes) == before


@pytest.mark.parametrize("fmt", ["B(4x4)C0(1:2) pad", "V(4)C0(2:4) pad"])
def test_padded_formats(fmt):
    torch.manual_seed(0)
    w = weight(30, 45, fmt)
    dense = torch.nn.Linear(45, 30, dtype=torch.float64)
    dense.weight.data.copy_(w)
    sparse = SparseLinear.from_linear(dense, fmt)
    x, grad = torch.randn(7, 45, dtype=torch.float64), torch.randn(7, 30, dtype=torch.float64)
    for ours, theirs in zip(gradients(sparse, x, grad), gradients(dense, x, grad)):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fmt", [*FORMATS, "B(4x4)C0(1:2) pad"])
def test_transposed_in_row_order(fmt):
    w = np.asarray(weight(*((30, 45) if fmt.endswith("pad") else (32, 48)), fmt))
    A = pith.compress(w, fmt)
    T = Transposed(A)
    np.testing.assert_array_equal(T.tensor(A.values).validate().to_dense(), w.T)
    np.testing.assert_array_equal(T.tensor(2 * A.values).to_dense(), 2 * w.T)
    with pytest.raises(pith.ShapeError, match="expects a sparse matrix"):
        Transposed(pith.compress(np.ones(3), "d0 : compressed"))


PATTERN = pith.compress(np.tile(np.float32([1, 1, 0, 0]), (6, 4)), "C0(2:4)")
GOOD = dict(x=torch.ones(2, 16), values=torch.ones(48), bias=None)

#: what -> (changed arguments, error class, words the message has)
BAD = {
    "features": (dict(x=torch.ones(2, 15)), pith.ShapeError, r"16 features, got shape \(2, 15\)"),
    "a number": (dict(x=torch.tensor(1.0)), pith.ShapeError, "features"),
    "too few values": (dict(values=torch.ones(47)), pith.ShapeError, "expects 48 values"),
    "bias of another size": (dict(bias=torch.ones(5)), pith.ShapeError, r"\(6,\), got \(5,\)"),
    "another type": (dict(x=torch.ones(2, 16).double()), pith.DTypeError, "float32, the type of the values"),
    "bias of another type": (dict(bias=torch.ones(6).double()), pith.DTypeError, "bias"),
    "an array": (dict(x=np.ones((2, 16), np.float32)), pith.ArgumentError, "x: expects a tensor, got ndarray"),
    "no values": (dict(values=None), pith.ArgumentError, "values: expects a tensor, got NoneType"),
    "another device": (dict(x=torch.ones(2, 16, device="meta")), pith.DeviceError, "meta"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_calls_say_what_is_wrong(what):
    changes, error, words = BAD[what]
    call = {**GOOD, **changes}
    with pytest.raises(error, match=words):
        sparse_linear(call["x"], call["values"], PATTERN, call["bias"])


def test_bad_layers_say_what_is_wrong():
    with pytest.raises(pith.ShapeError, match="18"):
        SparseLinear("C0(2:4)", 18, 8)
    with pytest.raises(pith.FormatError):
        SparseLinear("C0(5:4)", 16, 8)
    model = classifier()
    with pytest.raises(pith.ArgumentError, match="a mapping from name patterns to formats, got str"):
        sparsify_(model, "C0(2:4)")
    with pytest.raises(pith.ArgumentError, match="pattern"):
        sparse_linear(GOOD["x"], GOOD["values"], "csr")
    with pytest.raises(pith.ImportProgramError, match=r"no torch\.nn\.Linear inside of the model; close names"):
        sparsify_(model, {"1": "C0(2:4)"})  # not a linear layer
    with pytest.raises(pith.ShapeError, match="sparsity"):
        sparsify_(model, {"0": "C0(2:4)", "2": "V(16)C0(2:4)"})
    with pytest.raises(pith.ImportProgramError, match="different formats"):
        sparsify_(model, {"*": "C0(2:4)", "0": "C0(1:4)"})
    assert all(not isinstance(m, SparseLinear) for m in model.modules())


def test_gradients_of_gradients_are_refused():
    layer = SparseLinear("C0(2:4)", 16, 8)
    x = torch.randn(2, 16, requires_grad=True)
    for loss in (layer(x).square().sum(), layer(x).sum()):
        (dx,) = torch.autograd.grad(loss, x, create_graph=True)
        with pytest.raises(pith.UnsupportedError, match="sparse_linear: gradients of its gradients"):
            (dx.square().sum() + layer(x).sum()).backward()  # a penalty that must not be left out


def test_sparse_layers_compile_in_their_format():
    """Wherever they stand, twice or nested, without being named; the model stays as it is."""
    shared = torch.nn.Linear(16, 16)
    model = torch.nn.Sequential(shared, torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(16, 8)), shared)
    model = torch.nn.Sequential(model[0], model[1], torch.nn.Linear(8, 16), model[0])
    sparsify_(model, {"0": "C0(2:4)", "1.1": "C1(1:2)->C0(2:4)"})
    layers = list(model.modules())
    x = torch.randn(5, 16)
    for sparsity in (None, {"1.1.weight": "csr"}):
        kernel = pith.compile(model, (x,), sparsity=sparsity, path="sparse")
        torch.testing.assert_close(kernel(x), model(x).detach(), rtol=1e-5, atol=1e-5)
        assert "pith.nm" in kernel.ir("pith") and ("compressed" in kernel.ir("pith")) == bool(sparsity)
    assert list(model.modules()) == layers


def test_what_trains_is_not_sampled_silently():
    pattern = pith.compress(np.eye(4, dtype=np.float32), "csr")
    with pytest.raises(pith.ArgumentError, match="requires a gradient"):
        pith.sddmm(torch.ones(4, 2, requires_grad=True), torch.ones(2, 4), pattern)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_regions_compute_in_their_type(dtype):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), pith.torch.SparseLinear("C0(2:4)", 32, 8))
    masked = pith.torch.MaskedLinear(32, 8, granularity=(4, 1))
    masked.pattern = masked.strongest(0.25)
    x = torch.randn(5, 16)
    for layer in (model[1], masked):
        model[1] = layer
        reference = torch.nn.Sequential(model[0], layer.to_linear())
        with torch.autocast("cpu", dtype):
            y, expected = model(x), reference(x)
        assert y.dtype == dtype
        torch.testing.assert_close(y, expected, rtol=2e-2, atol=2e-2)
        y.float().sum().backward()
        assert next(layer.parameters()).grad.dtype == torch.float32


def test_compiled_models_call_the_layers_as_they_are():
    torch.manual_seed(0)
    masked = pith.torch.MaskedLinear(16, 8, granularity=(4, 1))
    masked.pattern = masked.strongest(0.25)
    model = torch.nn.Sequential(pith.torch.SparseLinear("C0(2:4)", 32, 16), torch.nn.ReLU(), masked)
    x = torch.randn(5, 32)
    y = torch.compile(model, backend="eager")(x)
    torch.testing.assert_close(y, model(x))
    y.sum().backward()
    assert model[0].values.grad is not None


def test_small_layers_make_no_dense_copy_of_a_weight_that_lives_for_one_call(monkeypatch):
    def unpacked(*_: object) -> None:
        raise AssertionError("a dense copy was made")

    asked = {"auto": OWN}
    monkeypatch.setattr(linear_choice, "_choose", lambda *_: linear_choice.Choice(dense=True))
    monkeypatch.setattr(matmul_plan, "choose", lambda problem, among: choose(problem, asked.get(among, among)))
    monkeypatch.setattr(copies.Copies, "unpacked", unpacked)
    for fmt in ("C0(7:8)", "csr"):
        layer = SparseLinear(fmt, 64, 32)
        x = torch.randn(9, 64, requires_grad=True)
        layer(x).square().sum().backward()
        assert x.grad is not None and layer.values.grad is not None
    with pytest.raises(AssertionError, match="a dense copy"):
        pith.linear(x.detach(), layer.pattern)
    with pytest.raises(AssertionError, match="a dense copy"):
        pith.matmul(layer.pattern, torch.ones(64, 3))


RIVALS = ["csr", "csc", "bsr(4x4)", "C0(2:4)", "C1(3:4)->C0(2:4)", "V(4)C0(2:4)", "masked(4)", "C0(2:4) pad"]


def step(pattern, x, grad):
    """Result and gradients of one step."""
    x, values = x.clone().requires_grad_(), torch.from_numpy(pattern.values.copy()).requires_grad_()
    y = sparse_linear(x, values, pattern, torch.ones(pattern.shape[0], dtype=x.dtype))
    y.backward(grad)
    return y.detach(), x.grad, values.grad


@pytest.mark.parametrize("fmt", RIVALS)
def test_the_dense_rival_gives_the_same(fmt, monkeypatch):
    torch.manual_seed(0)
    shape = (98, 130) if fmt.endswith("pad") else (96, 128)
    w = weight(*shape, fmt).numpy()
    pattern, x, grad = pith.compress(w, fmt), *(torch.randn(5, 14, n, dtype=torch.float64) for n in reversed(shape))
    sparse = step(pattern, x, grad)
    monkeypatch.setattr(autograd_linear, "densely", lambda *_: Densely(True, True, True))
    monkeypatch.setattr(autograd_linear, "sddmm", None)
    monkeypatch.setattr(autograd_linear, "matmul", None)
    for theirs, ours in zip(sparse, step(pattern, x, grad)):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_dense_rival_takes_values_of_another_type_than_the_pattern(monkeypatch):
    """Those of a layer after ``double()``."""
    torch.manual_seed(6)
    layer, x = SparseLinear("csr", 48, 32), torch.randn(5, 48)
    layer(x)
    layer.double()
    monkeypatch.setattr(autograd_linear, "densely", lambda *_: Densely(True, True, True))
    layer(x.double()).sum().backward()
    i, j = stored_coordinates(layer.pattern)
    torch.testing.assert_close(layer.values.grad, x.double().sum(0).expand(32, 48)[i, j])


@pytest.mark.parametrize("sizes", [(3, 8, 0), (3, 0, 8), (0, 8, 4)])
def test_layers_of_nothing_have_gradients(sizes):
    rows, inner, out = sizes
    layer, x = SparseLinear("csr", inner, out), torch.randn(rows, inner, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.shape == x.shape and not x.grad.any()
    assert torch.equal(layer.bias.grad, torch.full((out,), float(rows)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_dense_rival_leaves_what_is_not_finite_to_the_sparse_kernel(bad, monkeypatch):
    monkeypatch.setattr(autograd_linear, "densely", lambda *_: Densely(True, True, True))
    pattern = pith.compress(np.eye(4), "csr")
    x, grad = torch.ones(3, 4, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    x[1, 2] = grad[2, 0] = bad
    y, dx, _ = step(pattern, x, grad)
    assert torch.equal(y.isfinite(), x.isfinite()) and torch.equal(dx.isfinite(), grad.isfinite())


def test_products_of_much_that_is_stored_run_densely_and_of_little_sparsely():
    keep = np.random.default_rng(0).random((1024, 1024))
    half, tenth = (pith.compress((keep < share).astype(np.float32), "csr") for share in (0.6, 0.1))
    assert densely(half, 512, torch.float32).values and densely(half, 512, torch.float32).input
    assert densely(tenth, 512, torch.float32) == Densely()
    assert densely(half, 512, torch.bfloat16) == Densely()


def test_few_rows_multiply_by_the_weight_as_it_is_stored():
    """Gathering its values in another order takes longer than their products; sampling few terms does not."""
    half = pith.compress((np.random.default_rng(0).random((1024, 1024)) < 0.5).astype(np.float32), "csr")
    few, many = densely(half, 4, torch.float32), densely(half, 512, torch.float32)
    assert few == Densely(as_stored=True) and many.values and not many.as_stored


@pytest.mark.parametrize("fmt", RIVALS)
def test_gradients_are_the_same_in_either_order(fmt, monkeypatch):
    torch.manual_seed(1)
    shape = (98, 130) if fmt.endswith("pad") else (96, 128)
    pattern = pith.compress(weight(*shape, fmt).numpy(), fmt)
    x, grad = (torch.randn(3, n, dtype=torch.float64) for n in reversed(shape))
    found = []
    for as_stored in (False, True):
        monkeypatch.setattr(autograd_linear, "densely", lambda *_, at=as_stored: Densely(as_stored=at))
        found.append(step(pattern, x, grad)[1])
    expected = grad.numpy() @ pattern.to_dense()
    for dx in found:
        np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_a_step_in_place_changes_the_product_as_it_is_stored(monkeypatch):
    """Nothing of the order that values had before is kept: many columns would be worth a copy."""
    monkeypatch.setattr(autograd_linear, "densely", lambda *_: Densely(as_stored=True))
    layer, grad = SparseLinear("csr", 32, 48, bias=False), torch.randn(700, 48)
    for _ in range(4):
        x = torch.randn(700, 32, requires_grad=True)
        layer(x).backward(grad)
        torch.testing.assert_close(x.grad, grad @ layer.weight.detach(), rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            layer.values.mul_(-2.0)
