"""Mixtures of experts as models write them, rows that a mask picks and puts back, through ``pith.compile``."""

from __future__ import annotations

import re

import pith
import pytest
import torch
import torch.nn.functional as F

FEATURES, HIDDEN, EXPERTS = 12, 20, 3


class Expert(torch.nn.Module):
    """A gated layer with biases: what it makes of a row that is not picked is not zero."""

    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(FEATURES, 2 * HIDDEN)
        self.norm, self.down = torch.nn.LayerNorm(HIDDEN), torch.nn.Linear(HIDDEN, FEATURES)

    def forward(self, x):
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(self.norm(F.silu(gate) * up))


class Layer(torch.nn.Module):
    def __init__(self, dispatch, k):
        super().__init__()
        self.router = torch.nn.Linear(FEATURES, EXPERTS, bias=False)
        self.experts = torch.nn.ModuleList(Expert() for _ in range(EXPERTS))
        self.dispatch, self.k = dispatch, k

    def forward(self, x):
        gates, chosen = torch.topk(self.router(x).softmax(-1), self.k)
        return self.dispatch(self.experts, x, gates, chosen)


def mixtral(experts, x, gates, chosen):
    out = torch.zeros_like(x)
    masks = F.one_hot(chosen, num_classes=len(experts)).permute(2, 1, 0)
    for e, expert in enumerate(experts):
        slot, row = torch.where(masks[e])
        state = x[None, row].reshape(-1, x.shape[-1])
        out.index_add_(0, row, (expert(state) * gates[row, slot, None]).to(x.dtype))
    return out


def index_select(experts, x, gates, chosen):
    out = torch.zeros_like(x)
    for e, expert in enumerate(experts):
        row, slot = torch.where(chosen == e)
        out = out.index_add(0, row, expert(x.index_select(0, row)) * gates[row, slot].unsqueeze(-1))
    return out


def nonzero(experts, x, gates, chosen):
    out = torch.zeros_like(x)
    for e, expert in enumerate(experts):
        row = (chosen[:, 0] == e).nonzero().squeeze(-1)
        out[row] = expert(x[row]) * gates[row]
    return out


def boolean(experts, x, gates, chosen):
    out = torch.zeros_like(x)
    for e, expert in enumerate(experts):
        mask = chosen[:, 0] == e
        out[mask] = expert(x[mask])
    return out * gates


def added_in_place(experts, x, gates, chosen):
    out = x.clone()
    for e, expert in enumerate(experts):
        row = torch.where(chosen[:, 0] == e)[0]
        out[row] += expert(x[row])
    return out * gates


STYLES = [(mixtral, 2), (index_select, 2), (nonzero, 1), (boolean, 1), (added_in_place, 1)]


def layer_of(dispatch, k):
    torch.manual_seed(0)
    return Layer(dispatch, k).eval()


def assert_same(kernel, layer, x):
    with torch.no_grad():
        torch.testing.assert_close(kernel(x), layer(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dispatch", "k"), STYLES, ids=lambda v: getattr(v, "__name__", v))
def test_every_style_compiles(dispatch, k):
    layer = layer_of(dispatch, k)
    is_dynamic = dispatch is mixtral
    kernel = pith.compile(layer, (torch.randn(13, FEATURES),), dynamic_shapes=({0: "tokens"},) if is_dynamic else None)
    for tokens in (13, 70)[: 1 + is_dynamic]:
        assert_same(kernel, layer, torch.randn(tokens, FEATURES))


def test_explain_counts_what_patterns_name():
    text = pith.compile(layer_of(index_select, 2), (torch.randn(13, FEATURES),)).explain()
    assert re.fullmatch(r"computed only where patterns say \(pith.pit_tile\): [1-9]\d*; patterns .*: [1-9]\d*", text)
    assert "runs dense" not in text


def test_experts_that_nobody_chose_and_one_that_all_chose():
    layer = layer_of(index_select, 1)
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[1, 0] = 1.0
    x = torch.randn(9, FEATURES).abs()
    assert_same(pith.compile(layer, (x,)), layer, x)


def test_a_row_that_is_not_picked_may_hold_anything():
    """An expert's result for rows of others is not read, whatever it is."""
    layer = layer_of(boolean, 1)
    kernel, x = pith.compile(layer, (torch.randn(8, FEATURES),)), torch.randn(8, FEATURES)
    with torch.no_grad():
        clean, x[3] = kernel(x).clone(), float("inf")
        dirty = kernel(x)
    rows = [i for i in range(8) if i != 3]
    torch.testing.assert_close(dirty[rows], clean[rows])
    assert dirty[3].isnan().all()


def test_a_skipped_expert_is_refused_by_name():
    class Skips(torch.nn.Module):
        def forward(self, x):
            row = torch.where(x[:, 0] > 0)[0]
            if row.numel() == 0:
                return x
            return x.index_add(0, row, x[row])

    with pytest.raises(pith.ImportProgramError, match=r"pith\.torch\.MoE"):
        pith.compile(Skips(), (torch.randn(5, 3),))


@pytest.mark.parametrize("returns", ["rows", "sum"])
def test_what_mixes_picked_rows_is_left_alone(returns):
    """Neither how many rows there are nor what is summed over them is that of all rows: no wrong number comes out."""

    class Mixes(torch.nn.Module):
        def forward(self, x):
            row = torch.where(x[:, 0] > 0)[0]
            picked = x[row]
            return picked if returns == "rows" else x.index_add(0, row, picked - picked.sum(0))

    module, x = Mixes(), torch.randn(6, 4)
    try:
        kernel = pith.compile(module, (x,))
    except pith.ImportProgramError:
        return
    torch.testing.assert_close(kernel(x), module(x))


def test_rows_named_twice_are_not_taken_for_distinct():
    """Without a proof that a row names an expert once, gates of slots must not be summed up."""

    class Twice(torch.nn.Module):
        def forward(self, x, chosen, gates):
            out = torch.zeros_like(x)
            row, slot = torch.where(chosen == 1)
            return out.index_add(0, row, torch.relu(x[row] * gates[row, slot, None]))

    module = Twice()
    args = (torch.randn(4, 3), torch.tensor([[1, 1], [0, 1], [2, 0], [1, 0]]), torch.tensor([[1.0, -1.0]] * 4))
    try:
        kernel = pith.compile(module, args)
    except pith.ImportProgramError:
        return
    torch.testing.assert_close(kernel(*args), module(*args))


def test_products_visit_picked_rows_only():
    program = pith.torch.import_program(layer_of(boolean, 1), (torch.randn(8, FEATURES),))
    assert str(program.module).count('"pith.pit_tile"') == 2 * EXPERTS


def test_an_expert_with_structured_weights():
    layer = layer_of(index_select, 2)
    weight = layer.experts[0].up.weight
    with torch.no_grad():
        weight.copy_(torch.from_numpy(pith.prune(weight.detach().numpy(), "C0(2:4)")))
    x = torch.randn(11, FEATURES)
    assert_same(pith.compile(layer, (x,), sparsity={"experts.0.up.weight": "C0(2:4)"}), layer, x)


def test_products_whose_operands_other_products_have_replaced():
    """Gated layers without biases: the gate is computed where the first product stores, and the last one reads it."""

    class Gated(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.up = (torch.nn.Linear(FEATURES, HIDDEN, bias=False) for _ in range(2))
            self.down = torch.nn.Linear(HIDDEN, FEATURES, bias=False)

        def forward(self, x):
            return self.down(F.silu(self.gate(x)) * self.up(x))

    layer, x = layer_of(boolean, 1), torch.randn(17, FEATURES)
    layer.experts = torch.nn.ModuleList(Gated() for _ in range(EXPERTS))
    assert_same(pith.compile(layer, (x,)), layer, x)
