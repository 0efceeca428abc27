"""The light trace of an import against PyTorch's own ``run_decompositions``: the same ops, or the same path."""

import collections

import pytest
import torch
from pith.torch.decompositions.retracing import decomposed
from pith.torch.decompositions.table import decomposition_table

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, of its pytrees


class Views(torch.nn.Module):
    """Ops that may be views, normalisation, attention in pieces, a plain tensor of the model."""

    def __init__(self):
        super().__init__()
        self.norm, self.up, self.drop = torch.nn.LayerNorm(12), torch.nn.Linear(12, 24), torch.nn.Dropout()
        self.register_buffer("shift", torch.randn(12), persistent=False)
        self.scale = torch.tensor(2.0)

    def forward(self, x, *, mask=None):
        h = self.drop(self.up(self.norm(x + self.shift))).unflatten(-1, (2, 12)).transpose(1, 2).contiguous()
        scores = (h @ h.mT * self.scale).softmax(-1).to(torch.float32)
        scores = scores if mask is None else scores.masked_fill(mask, 0.0)
        return (scores @ h).movedim(1, 2).flatten(2), x.shape[0]


class Writes(torch.nn.Module):
    """Writes to a value of its own."""

    def forward(self, x):
        y = x * 2
        y[0] += 1
        return y


def kinds(program: torch.export.ExportedProgram) -> collections.Counter:
    return collections.Counter(str(n.target) for n in program.graph.nodes if n.op == "call_function")


def traced_once_more(monkeypatch, module, args, kwargs=None, shapes=None):
    """The program decomposed the short way, which has torch's ops and arguments named as its signature says."""
    exported = [torch.export.export(module, args, kwargs, dynamic_shapes=shapes) for _ in range(2)]
    full = exported[0].run_decompositions(decomposition_table())
    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", None)
    light = decomposed(exported[1], decomposition_table())
    assert kinds(light) == kinds(full)
    placeholders = [n.name for n in light.graph.nodes if n.op == "placeholder"]
    assert placeholders == [spec.arg.name for spec in light.graph_signature.input_specs]
    return light


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_functions_are_traced_once_more(monkeypatch, dynamic, masked):
    x = torch.randn(3, 5, 12)
    kwargs = {"mask": torch.ones(1, 1, 5, 5, dtype=torch.bool)} if masked and not dynamic else {}
    shapes = {"x": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}} if dynamic else None
    light = traced_once_more(monkeypatch, Views().eval(), (x,), kwargs, shapes)
    assert any("self.up" in n.meta.get("stack_trace", "") for n in light.graph.nodes)


class Named(torch.nn.Module):
    """Arguments called as a builtin and as the nodes that ops become."""

    def forward(self, input, add, add_1):
        return (input + add) * (input + add_1)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()), [(2, 3, 5, 6)]),
        (torch.nn.BatchNorm1d(4, affine=False), [(3, 4)]),
        (Named(), [(3, 4), (3, 4), (3, 4)]),
    ],
    ids=["sequential", "norm", "named"],
)
def test_names_and_stored_statistics_take_the_short_way(monkeypatch, module, inputs):
    tensors = [torch.randn(*shape) for shape in inputs]
    light = traced_once_more(monkeypatch, module.eval(), tuple(tensors))
    assert len({n.name for n in light.graph.nodes}) == len(light.graph.nodes)


@pytest.mark.parametrize("module", [Writes(), torch.nn.BatchNorm1d(4)], ids=["writes", "trains"])
def test_what_writes_takes_the_long_way(module):
    program = torch.export.export(module, (torch.randn(3, 4),))
    full, ours = (f(decomposition_table()) for f in (program.run_decompositions, lambda t: decomposed(program, t)))
    assert kinds(ours) == kinds(full)
    assert ours.graph_signature.output_specs == full.graph_signature.output_specs
