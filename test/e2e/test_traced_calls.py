"""Calls of pith's functions inside of one graph: ``torch.compile(fullgraph=True)``, ``torch.export``, gradients."""

import subprocess
import sys
import warnings

import numpy as np
import pith
import pith.torch
import pytest
import torch
from around import Around
from torch._dynamo.utils import counters

torch.manual_seed(0)
WEIGHT = pith.compress(pith.prune(torch.randn(32, 64), "C0(2:4)"), "C0(2:4)")
CSR = pith.compress(torch.randn(64, 64) * (torch.rand(64, 64) > 0.7), "csr")
HALF = pith.compress(pith.prune(torch.randn(32, 64), "C0(2:4)").bfloat16(), "C0(2:4)")
BYTES = pith.quantize(torch.randn(32, 64), "dense")
NIBBLES = pith.quantize(WEIGHT, bits=4, group=32)
FILTERS = pith.compress(pith.prune(torch.randn(8, 8, 3, 3), "MCRS: C0(2:4)"), "MCRS: C0(2:4)")
DENSE_FILTERS = torch.randn(8, 8, 3, 3)
KEPT = pith.Pattern.from_mask(torch.rand(64, 32) > 0.5)
SQUARE = pith.Pattern.from_mask(torch.rand(64, 64) > 0.5)
CHANNELS = pith.Pattern.from_indices([0, 3, 5], 8)
FACTOR, BIAS = torch.randn(64, 32), torch.randn(32)
W1, W2, B1, B2 = torch.randn(4, 64, 16), torch.randn(4, 16, 64), torch.randn(4, 16), torch.randn(4, 64)


def heads(x):
    return x.view(1, -1, 4, 16).transpose(1, 2)


def experts(x):
    chosen, gates = pith.route(x[:, :4].contiguous(), 2)
    return pith.moe(x, chosen, W1, W2, gates, b1=B1, b2=B2)


def tokens(x):
    return pith.attention(*[x.view(-1, 4, 16)] * 3, lengths=torch.tensor([2, x.shape[0] - 2]), return_lse=True)[1]


#: Calls of functions without gradients.
CALLS = {
    "matmul": lambda x: pith.matmul(WEIGHT, x.T),
    "from the left": lambda x: pith.matmul(x, CSR),
    "quantised": lambda x: pith.matmul(BYTES, x.T.contiguous()),
    "linear": lambda x: pith.linear(x, WEIGHT, BIAS, "relu"),
    "linear, bytes": lambda x: pith.linear(x, NIBBLES),
    "linear, dense": lambda x: pith.linear(x, FACTOR.T.contiguous(), residual=x[:, :32].contiguous()),
    "linear, bf16": lambda x: pith.linear(x.bfloat16(), HALF).float(),
    "einsum": lambda x: pith.einsum("mk,kn->mn", x, FACTOR, where={"kn": KEPT}, bias=BIAS),
    "conv2d": lambda x: pith.conv2d(x.view(1, 8, -1, 8), FILTERS, padding=1, activation="relu"),
    "conv2d, channels": lambda x: pith.conv2d(x.view(1, 8, -1, 8), DENSE_FILTERS, channels=CHANNELS, padding=1),
    "attention": lambda x: pith.attention(heads(x), heads(x), heads(x), window=2),
    "experts": experts,
    "grouped": lambda x: pith.grouped_matmul(x, torch.arange(x.shape[0]) % 4, W1, activation="silu"),
    "relu_ffn": lambda x: pith.relu_ffn(x, FACTOR, BIAS, FACTOR.T.contiguous(), None),
    "layer_norm": lambda x: pith.layer_norm(x, torch.ones(64), eps=1e-6),
}
each = pytest.mark.parametrize("name", CALLS)


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@each
def test_one_graph_for_all_sizes(name, backend):
    model = Around(CALLS[name])
    whole = torch.compile(model, fullgraph=True, backend=backend)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (8, 16, 24, 40):
            x = torch.randn(rows, 64)
            torch.testing.assert_close(whole(x), model(x))
    assert counters["stats"]["unique_graphs"] == 2  # of the first size, and of any


@each
def test_exports_run_and_are_files(name, tmp_path):
    model, x = Around(CALLS[name]).eval(), torch.randn(8, 64)
    with torch.no_grad():
        program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        y = torch.randn(8 if name.startswith("conv2d") else 16, 64)  # sizes of images are fixed there
        torch.testing.assert_close(program.module()(y), model(y))
        assert "pith.call" in str(program.graph)
        torch.export.save(program, tmp_path / "model.pt2")
        torch.save((y, model(y)), tmp_path / "example.pt")
    if name not in ("linear", "einsum"):
        return
    script = (
        "import torch, sys, pith.torch.calls\n"
        "x, expected = torch.load(sys.argv[1] + '/example.pt')\n"
        "program = torch.export.load(sys.argv[1] + '/model.pt2')\n"
        "torch.testing.assert_close(program.module()(x), expected)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300)


@each
def test_ops_obey_torch(name):
    """The fake results against the real ones, and the schema."""
    seen = []

    class Recorded(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.pith.call.default:
                seen.append(args)
            return func(*args, **(kwargs or {}))

    with torch.no_grad():
        program = torch.export.export(Around(CALLS[name]), (torch.randn(8, 64),)).module()
        with Recorded():
            program(torch.randn(8, 64))
    assert seen
    for args in seen:
        torch.library.opcheck(torch.ops.pith.call.default, args)


class Sampled(torch.nn.Linear):
    def forward(self, x):
        return pith.torch.einsum("mk,kn->mn", x, self.weight, where={"kn": SQUARE}, bias=self.bias, activation="gelu")


class Attended(torch.nn.Linear):
    def forward(self, x):
        q = heads(super().forward(x))
        return pith.torch.sparse_attention(q, heads(x), q, window=2).transpose(1, 2).reshape(x.shape)


class Valued(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.values = torch.nn.Parameter(torch.from_numpy(CSR.values.copy()))

    def forward(self, x):
        return pith.torch.sparse_linear(x, self.values * 2, CSR)


LAYERS = {
    "experts": lambda: pith.torch.MoE(64, 32, n_experts=4),
    "one expert": lambda: pith.torch.MoE(64, 32, n_experts=4, k=1, activation="relu"),
    "einsum": lambda: Sampled(64, 64),
    "attention": lambda: Attended(64, 64),
    "values": Valued,
}
layers = pytest.mark.parametrize("name", LAYERS)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@layers
def test_gradients_of_one_graph(name, backend):
    model = Around(LAYERS[name]())
    whole, leaves = torch.compile(model, fullgraph=True, backend=backend), list(model.parameters())
    for rows in (8, 5, 9, 33):
        x, upstream = torch.randn(rows, 64, requires_grad=True), torch.randn(rows, 64)
        result, expected = whole(x), model(x)
        torch.testing.assert_close(result, expected)
        gradients = torch.autograd.grad(result, [x, *leaves], upstream, allow_unused=True)
        reference = torch.autograd.grad(expected, [x, *leaves], upstream, allow_unused=True)
        for g, r in zip(gradients, reference, strict=True):
            torch.testing.assert_close(torch.zeros(()) if g is None else g, torch.zeros(()) if r is None else r)
    assert counters["stats"]["unique_graphs"] == 2 and not counters["graph_break"]
    with torch.no_grad():
        torch.testing.assert_close(whole(x), model(x))


@layers
def test_exports_have_gradients(name):
    model, x = Around(LAYERS[name]()), torch.randn(8, 64)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    y = torch.randn(5, 64, requires_grad=True)
    expected = model(y)
    torch.testing.assert_close(program(y), expected)
    (gradient,) = torch.autograd.grad(program(y).square().sum(), y, create_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.square().sum(), y)[0])
    with pytest.raises(pith.UnsupportedError, match="gradients of its gradients"):
        torch.autograd.grad(gradient.sum(), y)


def test_a_graph_follows_routes():
    model = pith.torch.MoE(64, 32, n_experts=8)
    whole = torch.compile(model, fullgraph=True, backend="aot_eager")
    for scale in (1.0, 10.0, -3.0):
        x = torch.randn(9, 64) * scale
        torch.testing.assert_close(whole(x), model(x))
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(pith.torch.einsum("mk,kn->mn", x, FACTOR), (x.bfloat16() @ FACTOR.bfloat16()))
    assert counters["stats"]["unique_graphs"] == 1


#: Calls that cannot work, and what is raised without tracing and with.
MISTAKES = {
    "features": (lambda x: pith.linear(x[:, :3], WEIGHT), pith.ShapeError, "expects x of shape"),
    "inner": (lambda x: pith.matmul(WEIGHT, x), pith.ShapeError, "inner sizes differ"),
    "types": (lambda x: pith.linear(x.double(), WEIGHT), pith.DTypeError, "float64"),
    "heads": (lambda x: pith.attention(heads(x), heads(x)[:, :3], heads(x)), pith.ShapeError, "do not fit"),
    "equation": (lambda x: pith.einsum("mk,kn", x, x), pith.ShapeError, "'k' has size"),
    "channels": (lambda x: pith.conv2d(x.view(1, 4, 16, 8), FILTERS), pith.ShapeError, "c, height, width"),
    "window": (lambda x: pith.conv2d(x.view(1, 8, 1, 64), FILTERS), pith.ShapeError, "does not fit"),
    "experts": (lambda x: pith.moe(x, torch.zeros(3, dtype=int), W1, W2), pith.ShapeError, "expects experts of shape"),
    "hidden": (lambda x: pith.relu_ffn(x, FACTOR, None, FACTOR, None), pith.ShapeError, "w2: expects shape"),
    "activation": (lambda x: pith.linear(x, WEIGHT, activation="tan"), pith.ArgumentError, "unknown activation"),
    "variant": (lambda x: pith.linear(x, WEIGHT, variant="fast"), pith.UnsupportedError, "no variant"),
    "layer": (pith.torch.MoE(63, 8, 4), pith.ShapeError, "expects x of shape"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_as_without_tracing(name):
    call, error, match = MISTAKES[name]
    model, x = Around(call), torch.randn(8, 64)
    with torch.no_grad():
        with pytest.raises(error, match=match):
            model(x)
        with pytest.raises(error, match=match):
            torch.export.export(model, (x,))
        with pytest.raises(error, match=match):
            torch.compile(model, backend="eager")(x)  # with fullgraph=True torch says that no graph holds the call


def test_gradients_there_are_none_of():
    model, x = Around(CALLS["linear"]), torch.randn(8, 64)
    for run in (model, torch.compile(model, backend="aot_eager"), lambda x: torch.export.export(model, (x,))):
        with pytest.raises(pith.ArgumentError, match="requires a gradient"):
            run(x)


def test_what_no_graph_holds():
    """Calls that write, and those that give no tensors: graphs end before them, exports are refused."""
    out, x = torch.empty(8, 32), torch.randn(8, 64)
    written = Around(lambda x: pith.matmul(x, WEIGHT.T, out=out))
    counted = Around(lambda x: torch.from_numpy(pith.sddmm(x.contiguous(), x.T.contiguous(), ONES).values))
    with torch.no_grad():
        for model in (written, counted):
            torch.testing.assert_close(torch.compile(model, backend="eager")(x), model(x))
            torch._dynamo.reset()
            with pytest.raises(torch._dynamo.exc.Unsupported):
                torch.compile(model, backend="eager", fullgraph=True)(x)
        with pytest.raises(pith.UnsupportedError, match=r"(?s)writes to out.*copy the result"):
            torch.export.export(written, (x,))


def test_strict_exports_say_what_to_do():
    with torch.no_grad(), pytest.raises(torch._dynamo.exc.Unsupported, match="leave strict=False"):
        torch.export.export(Around(CALLS["linear"]), (torch.randn(8, 64),), strict=True)


ONES = pith.compress(np.eye(8, dtype=np.float32), "csr")


def test_programs_with_calls_are_not_compiled():
    with torch.no_grad():
        program = torch.export.export(Around(CALLS["linear"]).eval(), (torch.randn(8, 64),))
    with pytest.raises(pith.UnsupportedError, match=r"(?s)calls pith.*linear.*SparseLinear"):
        pith.compile(program)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_gradients_of_equal_views(backend):
    """AOTAutograd makes one tensor of views that are alike: each operand still has a gradient of its own."""

    def attend(x):
        return pith.torch.sparse_attention(x[None, None], x[None, None], x[None, None], causal=True) * torch.arange(6.0)

    start, found = torch.randn(7, 6), []
    for function in (attend, torch.compile(attend, backend=backend)):
        x = start.clone().requires_grad_()
        function(x).sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(*found)
