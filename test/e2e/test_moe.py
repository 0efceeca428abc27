"""Mixtures of experts against float64 NumPy: skewed, empty and overfull experts, every token computed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.runtime.cache import kernel_cache
from pith.workloads.moe_ir import grouped_source
from relative_error import error_of

torch = pytest.importorskip("torch")

#: ||out - reference|| / ||reference||.
TOLERANCES = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}

ACTIVATIONS = {None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "silu": lambda z: z / (1 + np.exp(-z))}


def layer(x, expert, w, b, activation=None):
    """One expert per row, row by row, in float64."""
    z = np.stack([r @ w[e] + (0 if b is None else b[e]) for r, e in zip(x, expert)]) if len(x) else np.zeros((0, 1))
    return ACTIVATIONS[activation](z)


def mixture(x, experts, w1, w2, gates=None, b1=None, b2=None, activation=None):
    """:func:`pith.moe` in float64."""
    wide = [None if a is None else np.asarray(a, np.float64) for a in (x, w1, w2, gates, b1, b2)]
    x, w1, w2, gates, b1, b2 = wide
    experts = np.asarray(experts).reshape(len(x), -1)
    gates = np.ones(experts.shape) if gates is None else gates.reshape(experts.shape)
    out = 0.0
    for j in range(experts.shape[1]):
        hidden = layer(x, experts[:, j], w1, b1, activation)
        out = out + gates[:, j, None] * layer(hidden, experts[:, j], w2, b2)
    return out


def routing(kind, tokens, n_experts, k, rng):
    """Experts per token, distinct for each."""
    if kind == "one":
        return np.tile(np.arange(k) + 1, (tokens, 1)) % n_experts
    weights = np.arange(1, n_experts + 1) ** (-2.0 if kind == "skewed" else 0.0)
    if kind == "some":  # half of the experts have no token
        weights[::2] = 0
    weights /= weights.sum()
    return np.stack([rng.choice(n_experts, k, replace=False, p=weights) for _ in range(tokens)])


def operands(rng, tokens, width, hidden, out, n_experts, dtype=np.float32):
    shapes = (
        (tokens, width),
        (n_experts, width, hidden),
        (n_experts, hidden, out),
        (n_experts, hidden),
        (n_experts, out),
    )
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", ["uniform", "skewed", "some", "one"])
def test_grouped_matmul(kind, k):
    rng = np.random.default_rng(0)
    for tokens, n_experts in ((201, 7), (64, 8), (1, 9), (0, 6)):
        x, w, _, b, _ = operands(rng, tokens, 37, 53, 1, n_experts)
        experts = routing(kind, tokens, n_experts, k, rng) if tokens else np.zeros((0, k), int)
        gates = rng.standard_normal((tokens, k)).astype(np.float32)
        reference = sum(
            (gates[:, j, None].astype(float) * layer(x.astype(float), experts[:, j], w.astype(float), b, "relu"))
            for j in range(k)
        )
        out = pith.grouped_matmul(x, experts, w, gates, bias=b, activation="relu")
        assert out.shape == (tokens, 53) and out.dtype == np.float32
        assert error_of(out, reference.reshape(out.shape)) < TOLERANCES["float32"], (tokens, n_experts)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("gated", [False, True])
def test_experts_larger_than_a_cache(gated, k):
    """What experts multiply is fetched and packed in blocks, by rows that are few; some experts have many."""
    rng = np.random.default_rng(1)
    x, w, *_ = operands(rng, 300, 330, 420, 1, 9)
    experts = routing("skewed", 300, 9, k, rng)
    gates = rng.standard_normal((300, k)).astype(np.float32) if gated else None
    reference = sum(
        (gates[:, j, None].astype(float) if gated else 1) * layer(x.astype(float), experts[:, j], w.astype(float), None)
        for j in range(k)
    )
    assert error_of(pith.grouped_matmul(x, experts, w, gates), reference) < TOLERANCES["float32"]


@pytest.mark.parametrize("kind", ["skewed", "some"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("gated", [False, True])
def test_wide_experts_of_bf16(gated, k, kind):
    """Where dot instructions multiply, the next columns or expert are packed meanwhile, and sums rounded as stored."""
    rng = np.random.default_rng(3)
    for tokens, width, out in ((500, 150, 1030), (90, 64, 300)):
        x, w, *_ = operands(rng, tokens, width, out, 1, 9)
        gates = torch.from_numpy(rng.standard_normal((tokens, k))).bfloat16() if gated else None
        x, w, experts = (torch.from_numpy(v) for v in (x, w, routing(kind, tokens, 9, k, rng)))
        x, w = x.bfloat16(), w.bfloat16()
        wide = torch.ones(tokens, k) if gates is None else gates
        reference = sum(
            wide[:, j, None].double() * torch.stack([r @ w[e].double() for r, e in zip(x.double(), experts[:, j])])
            for j in range(k)
        )
        y = pith.grouped_matmul(x, experts, w, gates)
        assert y.dtype is torch.bfloat16
        assert error_of(y.double().numpy(), reference.numpy()) < 2.5e-3, (tokens, width, out)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_moe(k, activation):
    rng = np.random.default_rng(1)
    x, w1, w2, b1, b2 = operands(rng, 150, 24, 40, 31, 5)
    experts, gates = pith.route(rng.standard_normal((150, 5)).astype(np.float32), k)
    out = pith.moe(x, experts, w1, w2, gates, b1=b1, b2=b2, activation=activation)
    assert error_of(out, mixture(x, experts, w1, w2, gates, b1, b2, activation)) < TOLERANCES["float32"]
    out = pith.moe(x, experts, w1, w2, activation=activation)
    assert error_of(out, mixture(x, experts, w1, w2, activation=activation)) < TOLERANCES["float32"]


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_element_types(dtype, k):
    """torch in, torch out; narrow types are computed in f32."""
    rng, kind = np.random.default_rng(2), getattr(torch, dtype)
    x, w1, w2, b1, b2 = (torch.from_numpy(a).to(kind) for a in operands(rng, 70, 20, 33, 18, 4, np.float64))
    experts, gates = pith.route(torch.from_numpy(rng.standard_normal((70, 4))).to(kind), k)
    out = pith.moe(x, experts, w1, w2, gates, b1=b1, b2=b2, activation="relu")
    assert out.dtype is kind
    wide = [t.double().numpy() for t in (x, w1, w2, gates, b1, b2)]
    reference = mixture(wide[0], experts.numpy(), *wide[1:], "relu")
    assert error_of(out.double().numpy(), reference) < TOLERANCES[dtype]


def test_two_experts_of_a_token_are_added():
    """Both write one row, whatever the order they are computed in."""
    x = np.ones((130, 3), np.float32)
    w = np.stack([np.full((3, 70), 10.0**e) for e in range(3)]).astype(np.float32)
    experts = np.tile([[2, 0]], (130, 1))
    np.testing.assert_array_equal(pith.grouped_matmul(x, experts, w), np.full((130, 70), 303, np.float32))
    gates = np.tile(np.float32([[0.5, 2]]), (130, 1))
    np.testing.assert_array_equal(pith.grouped_matmul(x, experts, w, gates), np.full((130, 70), 156, np.float32))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("experts", [1, 7])
def test_sums_of_tokens_that_some_experts_list(gated, experts):
    """The first expert of a token stores, others add, and what none lists is zero, whatever the output held."""
    rng, tokens, shape = np.random.default_rng(5), 70, (13, 75)
    chosen = rng.random((tokens, experts)) < 0.4
    chosen[::9] = False
    x, w = rng.standard_normal((tokens, 13), np.float32), rng.standard_normal((experts, *shape), np.float32)
    gates = rng.standard_normal((tokens, experts), np.float32)
    listed = rng.permutation(np.argwhere(chosen)).astype(np.int32)
    kernel = compile_source(grouped_source("f32", "f32", False, None, gated, True), "grouped")
    out = np.full((tokens, 75), np.nan, np.float32)
    kernel.native(listed, x, w, *[gates] * gated, out)
    weights = chosen * (gates.astype(float) if gated else 1.0)
    assert error_of(out, np.einsum("te,tk,ekn->tn", weights, x.astype(float), w.astype(float))) < 1e-5


def test_nan_stays_with_its_token_and_expert():
    rng = np.random.default_rng(3)
    x, w, *_ = operands(rng, 90, 16, 24, 1, 4)
    experts = rng.integers(0, 3, 90)
    x[17, 3], w[3] = np.inf, np.nan  # no token goes to expert 3
    out = pith.grouped_matmul(x, experts, w)
    bad = ~np.isfinite(out).all(1)
    assert bad.nonzero()[0].tolist() == [17]


def test_new_routings_compile_nothing_and_stay_small():
    rng = np.random.default_rng(4)
    tokens, n_experts, width, hidden = 256, 64, 16, 128
    x, w1, w2, *_ = operands(rng, tokens, width, hidden, width, n_experts)
    pith.moe(x, routing("uniform", tokens, n_experts, 2, rng), w1, w2)
    lookups = kernel_cache().stats.hits + kernel_cache().stats.misses
    for kind in ("skewed", "some", "one"):
        experts = routing(kind, tokens, n_experts, 2, rng)
        tracemalloc.start()
        pith.moe(x, experts, w1, w2)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < tokens * n_experts * hidden * 4 / 8  # a hidden layer of every expert for every token
    assert kernel_cache().stats.hits + kernel_cache().stats.misses == lookups


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("normalize", [True, False])
def test_route(dtype, normalize):
    logits = torch.from_numpy(np.random.default_rng(5).standard_normal((40, 9)) * 3).to(getattr(torch, dtype))
    experts, gates = pith.route(logits, 3, normalize=normalize)
    best, places = torch.topk(logits.double(), 3)
    assert torch.equal(torch.gather(logits.double(), 1, experts), best)
    reference = torch.softmax(best, 1) if normalize else torch.gather(torch.softmax(logits.double(), 1), 1, places)
    assert gates.dtype is logits.dtype
    assert error_of(gates.double().numpy(), reference.numpy()) < TOLERANCES[dtype]


X, W = np.ones((4, 3), np.float32), np.ones((2, 3, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: pith.grouped_matmul(X, [0, 1, 2, 0], W), pith.CheckError, "entry 2 is 2, the expert axis of w has 2"),
        (lambda: pith.grouped_matmul(X, [0, 1, -1, 0], W), pith.CheckError, "entry 2 is -1"),
        (lambda: pith.grouped_matmul(X, [[0, 1]] * 3 + [[1, 1]], W), pith.CheckError, "token 3 names expert 1 twice"),
        (lambda: pith.grouped_matmul(X, [0, 1, 1], W), pith.ShapeError, r"experts of shape \(4,\)"),
        (lambda: pith.grouped_matmul(X, [0.0, 1, 1, 0], W), pith.DTypeError, "expects integers"),
        (lambda: pith.grouped_matmul(X[0], [0], W), pith.ShapeError, r"x of shape \(tokens, in\)"),
        (lambda: pith.grouped_matmul(X, [0] * 4, W[:, :2]), pith.ShapeError, "grouped_matmul: w"),
        (lambda: pith.grouped_matmul(X, [0] * 4, W.astype(float)), pith.DTypeError, "grouped_matmul: w"),
        (lambda: pith.grouped_matmul(X, [0] * 4, W, X[:, 0:1]), pith.ShapeError, "gates"),
        (lambda: pith.grouped_matmul(X, [0] * 4, W, bias=W[0]), pith.ShapeError, "bias"),
        (lambda: pith.grouped_matmul(X, [0] * 4, W, activation="tanh"), pith.ArgumentError, "unknown activation"),
        (lambda: pith.grouped_matmul(X.astype(int), [0] * 4, W), pith.DTypeError, "floating-point"),
        (lambda: pith.moe(X, [0] * 4, W, W), pith.ShapeError, "moe: w2"),
        (lambda: pith.moe(X, [0] * 4, W, W.transpose(0, 2, 1), b1=X), pith.ShapeError, "moe: b1"),
        (lambda: pith.route(X, 4), pith.ShapeError, "0 <= k <= 3"),
        (lambda: pith.route(X[0]), pith.ShapeError, "logits of shape"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
@pytest.mark.parametrize("k", [1, 2])
def test_module(k, activation):
    """Outputs and gradients of the module against experts evaluated one by one, in float64."""
    torch.manual_seed(0)
    layer = pith.torch.MoE(12, 20, n_experts=5, k=k, activation=activation)
    x = torch.randn(3, 17, 12, requires_grad=True)
    with torch.no_grad():
        plain = layer(x)
    out = layer(x)
    out.square().sum().backward()

    reference = {name: p.detach().double().requires_grad_() for name, p in layer.named_parameters()}
    rows = x.detach().double().requires_grad_()
    tokens = rows.reshape(-1, 12)
    best, experts = torch.topk(tokens @ reference["router.weight"].T, k)
    gates, function = torch.softmax(best, 1), pith.torch.layers.moe.ACTIVATIONS[activation]
    w1, b1, w2, b2 = (reference[n] for n in ("w1", "b1", "w2", "b2"))
    hidden = function(torch.einsum("tf,tjfh->tjh", tokens, w1[experts]) + b1[experts])
    parts = torch.einsum("tjh,tjhf->tjf", hidden, w2[experts]) + b2[experts]
    expected = (parts * gates[..., None]).sum(1).reshape(rows.shape)
    expected.square().sum().backward()

    wide = expected.detach().numpy()
    assert error_of(plain.numpy(), wide) < 1e-6 and error_of(out.detach().numpy(), wide) < 1e-6
    assert error_of(x.grad.numpy(), rows.grad.numpy()) < 1e-5
    for name, p in layer.named_parameters():
        assert error_of(p.grad.numpy(), reference[name].grad.numpy()) < 1e-5, name


def test_module_is_not_compiled():
    layer = pith.torch.MoE(8, 16, n_experts=4)
    for module, where in ((layer, "MoE"), (torch.nn.Sequential(layer), "0")):
        with pytest.raises(pith.UnsupportedError, match=rf"^{where}: a pith\.torch\.MoE cannot be compiled"):
            pith.compile(module.eval(), (torch.ones(3, 8),))


def test_module_refuses():
    with pytest.raises(pith.ShapeError, match="1 <= k <= 3"):
        pith.torch.MoE(4, 4, 3, k=4)
    with pytest.raises(pith.ArgumentError, match="unknown activation"):
        pith.torch.MoE(4, 4, 3, activation="tanh")
    with pytest.raises(pith.ShapeError, match=r"shape \(\.\.\., 4\)"):
        pith.torch.MoE(4, 4, 3)(torch.ones(2, 5))
    with pytest.raises(pith.DTypeError, match="the type of the weights"):
        pith.torch.MoE(4, 4, 3)(torch.ones(2, 4, dtype=torch.float64))
