"""``torch.compile`` of models that call pith: what is no call of a graph runs between two, without a word.
``pith.compile`` has no such ends, and says so."""

import subprocess
import sys
import warnings

import pith
import pith.torch
import pytest
import torch
from around import Around
from torch._dynamo.utils import counters

torch.manual_seed(0)
WEIGHT = pith.compress(pith.prune(torch.randn(32, 64), "C0(2:4)"), "C0(2:4)")
BYTES = pith.quantize(torch.randn(32, 64), "dense")
FILTERS = pith.compress(pith.prune(torch.randn(8, 8, 3, 3), "MCRS: C0(2:4)"), "MCRS: C0(2:4)")
KEPT = pith.Pattern.from_mask(torch.rand(64, 32) > 0.5)
KERNEL = pith.compile(torch.nn.Linear(64, 32), (torch.randn(8, 64),), dynamic_shapes=({0: "batch"},))


def heads(x):
    return x.view(1, -1, 4, 16).transpose(1, 2)


#: Calls of functions without gradients.
CALLS = {
    "matmul": lambda x: pith.matmul(WEIGHT, x.T),
    "operator": lambda x: WEIGHT @ x.T,
    "from the left": lambda x: x @ WEIGHT.T,
    "quantised": lambda x: BYTES @ x.T.contiguous(),
    "linear": lambda x: pith.linear(x, WEIGHT, activation="relu"),
    "einsum": lambda x: pith.einsum("mk,kn->mn", x, x[:1].T.expand(64, 32).contiguous(), where={"kn": KEPT}),
    "dynamic": lambda x: pith.matmul(pith.dynamic(x.relu()), x.T.contiguous()),
    "conv2d": lambda x: pith.conv2d(x.view(1, 8, -1, 8), FILTERS),
    "attention": lambda x: pith.attention(heads(x), heads(x), heads(x), window=2),
    "kernel": lambda x: KERNEL(x),
}


#: Those that run between two graphs: operators, objects that are made in a graph, kernels.
BETWEEN = ("operator", "from the left", "quantised", "dynamic", "kernel")


def compiled(model, backend="eager"):
    torch._dynamo.reset()
    counters.clear()
    return torch.compile(model, backend=backend)


@pytest.mark.parametrize("name", CALLS)
def test_functions_are_called_between_graphs(name):
    model, x = Around(CALLS[name]), torch.randn(8, 64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        torch.testing.assert_close(compiled(model)(x), model(x))
    breaks = sum(counters["graph_break"].values())
    assert breaks <= 4 if name in BETWEEN else not breaks  # traced into, matmul makes 15


@pytest.mark.parametrize("name", CALLS)
def test_exported_modules_cannot_call_kernels(name):
    with pytest.raises(pith.ImportProgramError, match=r"kernels cannot run while torch exports") as raised:
        pith.compile(Around(CALLS[name]), (torch.randn(8, 64),))
    assert "sparsity={" in (raised.value.hint or "") and "outside of the module" in (raised.value.hint or "")
    assert __file__ in str(raised.value)


@pytest.mark.parametrize("first", ["pith", "torch._dynamo"])
def test_in_every_order_of_imports(first):
    script = (
        f"import sys, {first}, pith; assert 'torch._dynamo' not in sys.modules or {first != 'pith'}\n"
        "from torch._dynamo import trace_rules as rules\n"
        "folder = pith.__file__.rsplit('/', 1)[0]\n"
        "assert rules.check_file(folder + '/functional/x.py').skipped\n"
        "assert not rules.check_file(folder + '/torch/interval_attention.py').skipped\n"
        "assert not [f for f in sys.meta_path if type(f).__module__ == 'pith.untraced']"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
