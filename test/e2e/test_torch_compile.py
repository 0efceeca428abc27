"""``torch.compile(model, backend="pith")``: captured graphs against PyTorch, sizes and weights that change."""

import pith
import pytest
import torch
from pith.torch import sparsify_

#: ||out - ref|| / ||ref|| against torch's f32.
TOLERANCE = 3e-6


class Branches(torch.nn.Module):
    """Control flow on values, which cuts the capture in two; a buffer, a plain tensor, a keyword."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.ModuleDict({"up": torch.nn.Linear(24, 40), "down": torch.nn.Linear(40, 24)})
        self.register_buffer("shift", torch.randn(24))
        self.factor = torch.tensor(0.5)

    def forward(self, x, scale=None):
        h = self.inner["up"](x).relu() if scale is None else self.inner["up"](x) * scale
        if h.sum() > 0:
            h = -h
        return {"y": self.inner["down"](h) * self.factor + self.shift, "size": x.shape[0]}


def close(y: torch.Tensor, reference: torch.Tensor) -> bool:
    return float((y - reference).norm()) <= TOLERANCE * float(reference.norm())


@pytest.fixture(autouse=True)
def _fresh():
    torch.manual_seed(3)
    torch._dynamo.reset()


def test_graph_breaks_sizes_and_keywords():
    model = Branches().eval()
    fast = torch.compile(model, backend="pith")
    with torch.inference_mode():
        for x in (torch.randn(3, 24), torch.randn(5, 24), torch.rand(7, 24) * 4):
            out = fast(x)
            assert close(out["y"], model(x)["y"]) and out["size"] == len(x)
        assert close(fast(x, scale=torch.tensor(2.0))["y"], model(x, scale=torch.tensor(2.0))["y"])


def test_weights_that_change_are_packed_anew():
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU()).eval()
    made = []

    def backend(graph, examples, **options):
        made.append(pith.torch.backend(graph, examples, **options))
        return made[-1]

    options = {"sparsity": {"0.weight": "csr"}, "path": "sparse"}
    fast, x = torch.compile(model, backend=backend, options=options), torch.randn(4, 32)
    with torch.no_grad():
        first = fast(x)
        assert close(first, model(x)) and fast(x).equal(first)
        model[0].weight.mul_(-2)
        assert close(fast(x), model(x))
        model[0].weight.data = torch.randn(16, 32)
        assert close(fast(x), model(x))
    (graph,) = made
    assert len(graph.kernels) == 1 and "operand 0.weight: 16x32xf32" in graph.kernels[0].explain()


def test_quantised_weights_and_layers():
    model, x = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.GELU(), torch.nn.Linear(16, 8)).eval(), None
    fast = torch.compile(model, backend="pith", options={"sparsity": {"?.weight": pith.Quantized()}})
    x = torch.randn(6, 32)
    with torch.inference_mode():
        exact, y = model(x), fast(x)
        assert 1e-4 < float((y - exact).norm() / exact.norm()) < 2e-2
        sparsify_(model, {"?": pith.Quantized()})
        assert close(torch.compile(model, backend="pith")(x), y)


def test_what_is_refused():
    model, x = torch.nn.Linear(8, 4), torch.randn(2, 8)
    with pytest.raises(pith.UnsupportedError, match="no gradients"):
        torch.compile(model, backend="pith")(x)
    with pytest.raises(Exception, match="no option 'sparsitee'"), torch.inference_mode():
        torch.compile(model, backend="pith", options={"sparsitee": {}})(x)
    with pytest.raises(Exception, match="no mode 'max-autotune'"), torch.inference_mode():
        torch.compile(model, backend="pith", mode="max-autotune")(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_region_of_autocast_is_the_model_s(dtype):
    model, x = (
        torch.nn.Sequential(torch.nn.Linear(24, 40), torch.nn.ReLU(), torch.nn.Linear(40, 8)).eval(),
        torch.randn(3, 24),
    )
    fast = torch.compile(model, backend="pith")
    with torch.no_grad():
        for region in (torch.autocast("cpu", dtype), torch.autocast("cpu", enabled=False)):
            with region:
                y, reference = fast(x), model(x)
            assert y.dtype == reference.dtype
            assert (y - reference).norm() <= (1e-2 if y.dtype == dtype else TOLERANCE) * reference.norm()


def test_kernels_of_modules_are_compiled_as_outside_of_autocast():
    model, x = torch.nn.Linear(24, 40).eval(), torch.randn(3, 24)
    with torch.autocast("cpu", torch.bfloat16):
        k = pith.compile(model, (x,))
        y = k(x)
    assert y.dtype == torch.float32
    assert close(y, model(x).detach())


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu", "layer_norm_eps": 1e-3}])
@pytest.mark.parametrize("masks", ["none", "pairs", "keys", "both"])
def test_encoder_layers_that_torch_takes_as_one_op(options, masks):
    layer = torch.nn.TransformerEncoderLayer(24, 3, 40, batch_first=True, **options).eval()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    layer.linear1.weight.data = pith.prune(layer.linear1.weight.data, "C0(2:4)")
    given = {}
    if masks in ("pairs", "both"):
        given["src_mask"] = torch.ones(19, 19).triu(1).bool()
    if masks in ("keys", "both"):
        given["src_key_padding_mask"] = torch.arange(19) >= torch.tensor([[19], [7]])
    x = torch.randn(2, 19, 24)
    reference = layer(x, **given).detach()  # with gradients: op by op
    sparsity = {"sparsity": {"linear1.weight": "C0(2:4)"}, "path": "sparse"}
    with torch.inference_mode():
        assert close(torch.compile(layer, backend="pith", options=sparsity)(x, **given), reference)
