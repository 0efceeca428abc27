"""PyTorch models compiled whole for an emulated GPU, against the models in float64. No GPU is needed."""

import copy

import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith.errors import KernelFault
from pith.tools import ptxas

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class MLP(torch.nn.Module):
    def __init__(self, sizes=(40, 64, 10)):
        super().__init__()
        self.first, self.second = torch.nn.Linear(*sizes[:2]), torch.nn.Linear(*sizes[1:])

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class FeedForward(torch.nn.Module):
    """The second half of a transformer layer: layer norm, two linear layers, residual."""

    def __init__(self, act=None, width=32, hidden=64):
        super().__init__()
        self.norm, self.act = torch.nn.LayerNorm(width), act or torch.nn.GELU()
        self.up, self.down = torch.nn.Linear(width, hidden), torch.nn.Linear(hidden, width)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


def error_of(model, x, target="emulate:sm_90", **options):
    """Relative error of the compiled model."""
    with torch.no_grad():
        kernel = pith.compile(model.eval(), (x,), target=target, **options)
        out = torch.as_tensor(np.asarray(kernel(x))).double()
        ref = copy.deepcopy(model).double()(x.double())
    return float((out - ref).norm() / ref.norm())


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_mlp():
    assert error_of(MLP(), torch.randn(7, 40)) < 1e-6


@pytest.mark.parametrize(
    "act", [torch.nn.GELU(), torch.nn.SiLU(), torch.nn.Softmax(-1)], ids=lambda a: type(a).__name__
)
def test_feed_forward(act):
    assert error_of(FeedForward(act), torch.randn(2, 5, 32)) < 1e-6


def test_feed_forward_of_f16():
    model = FeedForward(torch.nn.GELU(approximate="tanh")).half()
    assert error_of(model, torch.randn(2, 5, 32).half()) < 2e-3


def test_feed_forward_of_any_batch():
    x, batch = torch.randn(3, 5, 32), torch.export.Dim("batch")
    with torch.no_grad():
        model = FeedForward().eval()
        kernel = pith.compile(model, (x,), target="emulate:sm_90", dynamic_shapes=({0: batch},))
        for size in (1, 4):
            x = torch.randn(size, 5, 32)
            assert np.allclose(np.asarray(kernel(x)), model(x), atol=1e-5)


def test_csr_weights():
    model = MLP()
    with torch.no_grad():
        for layer in (model.first, model.second):
            layer.weight *= torch.rand_like(layer.weight) < 0.2
    sparsity = {"first.weight": pith.CSR, "second.weight": pith.CSR}
    assert error_of(model, torch.randn(7, 40), sparsity=sparsity) < 1e-6


def test_structured_weights():
    model, fmt = FeedForward(), pith.HSS.parse("C0(2:4)")
    with torch.no_grad():
        for layer in (model.up, model.down):
            layer.weight.copy_(pith.prune(layer.weight, fmt))
    assert error_of(model, torch.randn(2, 5, 32), sparsity={"up.weight": fmt, "down.weight": fmt}) < 1e-6


class Tokens(torch.nn.Module):
    """Embeddings, a layer, and a mean over the sequence."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = torch.nn.Embedding(50, 16), torch.nn.Linear(16, 8)

    def forward(self, tokens):
        return self.layer(self.table(tokens)).mean(1)


def test_embeddings_check_their_indices():
    """On hardware the assert ends the launch; the emulator names the thread."""
    model, tokens = Tokens().eval(), torch.randint(0, 50, (3, 7))
    with torch.no_grad():
        kernel = pith.compile(model, (tokens,), target="emulate:sm_90")
        assert np.allclose(np.asarray(kernel(tokens)), model(tokens), atol=1e-5)
        with pytest.raises(KernelFault) as error:
            kernel(torch.full_like(tokens, 50))
    assert error.value.kind == "assertion"


def test_encoder_layer():
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
    assert error_of(layer, torch.randn(2, 5, 32)) < 1e-6


def test_convolutions():
    """Padding, a reduction over three loops, normalisation, pooling: no product of tiles, but right."""
    layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64, 5))
    assert error_of(model, torch.randn(2, 3, 8, 8)) < 1e-6


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
def test_ptxas_assembles_without_spills(chip):
    x = torch.randn(2, 5, 32)
    kernel = pith.compile(FeedForward().eval(), (x,), target=chip)
    assembled = ptxas.assemble(kernel.ir("ptx"), chip)
    assert len(assembled.registers) == 3 and max(assembled.spill_bytes.values()) == 0


class ScaledDotProduct(torch.nn.Module):
    def forward(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("shape", [(2, 3, 33, 24), (1, 2, 17, 5)])
def test_attention_of_pytorch_is_one_kernel(shape):
    """The fused kernel, on tensor cores; scores are in registers alone."""
    q, k, v = (torch.randn(shape, generator=torch.Generator().manual_seed(i)).half() for i in range(3))
    kernel = pith.compile(ScaledDotProduct(), (q, k, v), target="emulate:sm_90")
    out = torch.as_tensor(np.asarray(kernel(q, k, v))).double()
    assert (out - ScaledDotProduct()(q.double(), k.double(), v.double())).abs().max() < 2e-3
    assert "_attention_" in kernel.explain() and "_matmul_" not in kernel.explain()
    assert "mma.sync" in pith.compile(ScaledDotProduct(), (q, k, v), target="sm_90+tf32").ir("ptx")


@pytest.mark.parametrize("shape", [(17, 40), (2, 9, 40)])
@pytest.mark.parametrize("name", ["C0(2:4)", "C0(bitmask)"])
def test_a_structured_layer_is_one_kernel_that_says_its_tile(name, shape):
    model, x = torch.nn.Linear(40, 24, bias=False).half().eval(), torch.randn(shape).half()
    with torch.no_grad():
        model.weight.copy_(torch.as_tensor(pith.prune(model.weight.numpy(), "C0(2:4)")))
        kernel = pith.compile(model, (x,), target="emulate:sm_90", sparsity={"weight": name})
        expected = x.double() @ model.weight.double().T
    assert (torch.as_tensor(np.asarray(kernel(x))).double() - expected).abs().max() < 1e-2
    told = kernel.explain()
    assert "\n[1] " not in told and "tile " in told


def test_positions_in_a_reshaped_range():
    """Fused with what reads it, the range is counted from two coordinates."""

    class Ramp(torch.nn.Module):
        def forward(self, x):
            return x + torch.arange(x.numel()).reshape(x.shape)

    assert error_of(Ramp(), torch.randn(5, 7)) < 1e-6
