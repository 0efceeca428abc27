"""What users of PyTorch write by habit: it works, or the error says what to do instead."""

import pickle
import warnings
from typing import Any

import numpy as np
import pith
import pytest
import torch
from pith.torch import MaskedLinear, sparsify_


def mlp() -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16)).eval()


@pytest.fixture(scope="module")
def kernel():
    return pith.compile(mlp(), (torch.ones(4, 64),))


def test_a_kernel_has_the_names_of_a_module(kernel):
    x = torch.randn(4, 64)
    assert torch.equal(kernel.eval().forward(x), kernel(x))
    for name, hint in (
        ("to", "pith.compile"),
        ("half", "pith.compile"),
        ("state_dict", "rebind"),
        ("train", "sparsify_"),
    ):
        with pytest.raises(pith.MissingNameError, match=f"(?s)ModuleKernel has no '{name}'.*hint: .*{hint}"):
            getattr(kernel, name)
    with pytest.raises(AttributeError):
        kernel.nonsense  # noqa: B018
    assert not hasattr(kernel, "parameters")


def test_calls_with_other_types_and_numbers_say_what_to_do(kernel):
    with pytest.raises(pith.DTypeError, match=r"(?s)float64.*hint: x\.to\(torch\.float32\)"):
        kernel(torch.ones(4, 64, dtype=torch.float64))
    with pytest.raises(pith.ShapeError, match=r"(?s)expects a call \(x\), got .*\.\.\.\n.*torch\.tensor") as caught:
        kernel(np.ones((4, 64)).tolist())
    assert len(str(caught.value)) < 400
    layers = mlp()
    sparsify_(layers, {"0": "C0(2:4)"})
    with pytest.raises(pith.DTypeError, match=r"hint: x\.to\(torch\.float32\), or layer\.to\(torch\.float64\)"):
        layers(torch.ones(4, 64, dtype=torch.float64))


def test_layers_are_not_replaced_twice():
    model = mlp()
    sparsify_(model, {"0": "C0(2:4)"})
    with pytest.raises(pith.UnsupportedError, match=r"(?s)0 is a SparseLinear already.*to_linear"):
        sparsify_(model, {"0": "csr"})
    assert sparsify_(model, {"*": "csr"}) == ("2",)
    with pytest.raises(pith.ImportProgramError, match=r"matches no .*there is none"):
        sparsify_(model, {"5": "csr"})


@pytest.mark.parametrize("said", ["C0(2:4)", "csr", pith.Quantized(), "masked"], ids=str)
def test_torchscript_traces_layers(said):
    model, x = mlp(), torch.randn(4, 64)
    if said == "masked":
        model[0] = layer = MaskedLinear(64, 32, granularity=(8, 1))
        layer.pattern = layer.strongest(0.25)
    else:
        sparsify_(model, {"0": said})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # torch.jit itself
        warnings.filterwarnings("error", ".*the trace might not generalize.*")
        traced: Any = torch.jit.trace(model, (x,))
    for rows in (4, 7):
        x = torch.randn(rows, 64)
        torch.testing.assert_close(traced(x), model(x))
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(x), model(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_layers_that_torch_quantised_say_what_to_give_instead():
    quantised = torch.ao.quantization.quantize_dynamic(mlp(), {torch.nn.Linear}, dtype=torch.qint8)
    with pytest.raises(pith.ImportProgramError, match=r"(?s)hint: .*the float model, .*pith\.Quantized\(\)"):
        pith.compile(quantised, (torch.ones(4, 64),))


def test_an_input_that_forward_changes_is_not_a_matter_of_eval():
    class Adds(torch.nn.Module):
        def forward(self, x):
            return x.add_(1)

    with pytest.raises(pith.UnsupportedError, match=r"forward changes x in place\n  hint: return the new value"):
        pith.compile(Adds(), (torch.ones(4),))
