"""``pith.compile(..., sparsity={"*.relu": pith.dynamic(...)})``: activations whose zeros are followed at run time."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

import pith  # noqa: E402
from pith.runtime.cache import kernel_cache  # noqa: E402

#: Of f32 results, as ||out - ref|| / ||ref||.
TOLERANCE = 1e-5


def feed_forward(inputs=40, hidden=520, outputs=256):
    torch.manual_seed(0)
    linears = torch.nn.Linear(inputs, hidden), torch.nn.Linear(hidden, outputs)
    return torch.nn.Sequential(linears[0], torch.nn.ReLU(), linears[1]).eval()


def shifted(x, shift):
    """Inputs of which ReLU leaves fewer the larger ``shift`` is: the first input feeds every neuron negatively."""
    x = x.clone()
    x[..., 0] = -shift
    return x


@pytest.fixture(scope="module")
def module():
    made = feed_forward()
    with torch.no_grad():
        made[0].weight[:, 0] = 1
    return made


@pytest.fixture(scope="module", params=["auto", "columns"])
def kernel(request, module):
    said = {"1": pith.dynamic(granularity=request.param)}
    return pith.compile(module, (torch.randn(8, 40),), sparsity=said, dynamic_shapes=({0: "batch"},))


def reference(module, x, threshold=0.0):
    """In float64; magnitudes of hidden activations up to the threshold are zero."""
    module = copy.deepcopy(module).double()
    with torch.inference_mode():
        hidden = module[1](module[0](x.double()))
        return module[2](torch.where(hidden.abs() <= threshold, 0, hidden))


def error(out, expected):
    return float((out.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 100.0])
@pytest.mark.parametrize("rows", [1, 31, 130])
def test_any_share_of_zeros(module, kernel, rows, shift):
    x = shifted(torch.randn(rows, 40, generator=torch.Generator().manual_seed(rows)), shift)
    assert error(kernel(x), reference(module, x)) < TOLERANCE


def test_new_patterns_compile_nothing(kernel):
    kernel(torch.randn(3, 40))
    before = kernel_cache().stats.compiled
    for rows, shift in ((64, 0.0), (5, 2.0), (200, 100.0)):
        kernel(shifted(torch.randn(rows, 40), shift))
    assert kernel_cache().stats.compiled == before


def test_the_product_is_formed_beside_its_dense_rival(kernel):
    assert kernel.ir("pith").count("pith.dynamic") == 1
    lowered = kernel.ir("linalg")
    assert lowered.count("scf.if") == 1
    assert lowered.index("pith.detect") < lowered.index("scf.if") < lowered.index("pith.pit_tile")
    assert "operand 0 in" in kernel.explain()


def test_what_is_not_a_number_is_present(module, kernel):
    x = shifted(torch.randn(40, 40), 100.0)
    x[7, 3] = float("nan")
    out = kernel(x)
    assert out[7].isnan().all()
    others = torch.arange(40) != 7
    assert error(out[others], reference(module, x[others])) < TOLERANCE


@pytest.mark.parametrize("granularity", [(1, 1), (8, 1), "rows", "auto"])
def test_thresholds_drop_small_activations(module, granularity):
    said = {"1": pith.dynamic(granularity=granularity, threshold=0.5)}
    kernel = pith.compile(module, (torch.randn(8, 40),), sparsity=said)
    x = torch.randn(8, 40)
    assert error(kernel(x), reference(module, x, 0.5)) < TOLERANCE
    assert error(kernel(x), reference(module, x)) > 1e-2


class Block(torch.nn.Module):
    """Two layers on sequences, the first activation read twice; weights of the up-projection may be sparse."""

    def __init__(self):
        super().__init__()
        self.up, self.gate = torch.nn.Linear(24, 512), torch.nn.Linear(24, 512)
        self.left, self.right = torch.nn.Linear(512, 256), torch.nn.Linear(512, 256)
        self.act, self.relu = torch.nn.ReLU(), torch.nn.ReLU()

    def forward(self, x):
        hidden = self.act(self.up(x))
        return self.left(hidden) + self.right(hidden) + self.left(self.relu(self.gate(x)))


def test_batches_of_sequences_and_several_readers():
    torch.manual_seed(2)
    block = Block().eval()
    with torch.no_grad():
        block.up.weight.copy_(pith.prune(block.up.weight.detach(), "C0(2:4)"))
        block.up.bias.sub_(1.0)
    said = {
        "*act": pith.dynamic(granularity=(32, 1)),
        "relu": pith.dynamic(granularity="columns"),
        "up.weight": "C0(2:4)",
    }
    shapes = ({0: "batch", 1: "tokens"},)
    kernel = pith.compile(block, (torch.randn(3, 5, 24),), sparsity=said, dynamic_shapes=shapes)
    assert kernel.ir("pith").count("pith.dynamic") == 3
    assert kernel.ir("linalg").count("scf.if") == 3
    for batch, tokens in ((2, 7), (1, 90), (5, 1)):
        x = torch.randn(batch, tokens, 24)
        with torch.inference_mode():
            expected = copy.deepcopy(block).double()(x.double())
        assert error(kernel(x), expected) < TOLERANCE


def test_outputs_that_no_product_reads():
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()).eval()
    with pytest.raises(pith.UnsupportedError, match="submodule 1: no matrix product reads its output"):
        pith.compile(module, (torch.randn(2, 8),), sparsity={"1": pith.dynamic()})


def test_products_with_a_sparse_weight(module):
    module = copy.deepcopy(module)
    with torch.no_grad():
        module[2].weight.copy_(pith.prune(module[2].weight.detach(), "C0(2:4)"))
    said = {"1": pith.dynamic(), "2.weight": "C0(2:4)"}
    with pytest.raises(pith.UnsupportedError, match="meets a weight that is stored sparse"):
        pith.compile(module, (torch.randn(2, 40),), sparsity=said)


def test_bad_declarations(module):
    x = torch.randn(2, 40)
    with pytest.raises(pith.UnsupportedError, match=r"0\.weight is a parameter, buffer or input"):
        pith.compile(module, (x,), sparsity={"*.weight": pith.dynamic()})
    with pytest.raises(pith.ArgumentError, match=r"expects pith\.dynamic without an operand"):
        pith.compile(module, (x,), sparsity={"1": pith.dynamic(x)})
    with pytest.raises(pith.ArgumentError, match=r"expects an operand in pith\.dynamic"):
        pith.matmul(pith.dynamic(), x)
    with pytest.raises(pith.ImportProgramError, match="different formats"):
        pith.compile(module, (x,), sparsity={"1": pith.dynamic(), "?": "csr"})
