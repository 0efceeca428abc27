"""Name patterns, as ``pith.torch.import_program(sparsity=...)`` reads them. Needs neither torch nor MLIR."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pith
import pytest
from pith.torch.names import as_format, assign_formats

SHAPES = {
    "layer.0.up.weight": (32, 16),
    "layer.0.up.bias": (32,),
    "layer.1.up.weight": (32, 16),
    "x": (-1, 16),
    "args.0": (8, 8),
}
FMT = pith.HSS.parse("C1(3:4)->C0(2:4)").to_format()


def test_names_need_neither_torch_nor_mlir():
    code = "import sys, pith.torch.names; print('torch' in sys.modules, 'torch_mlir' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


def test_a_pattern_names_every_operand_it_matches():
    operands = assign_formats({"*.up.weight": "C1(3:4)->C0(2:4)"}, SHAPES).operands
    assert operands == {"layer.0.up.weight": FMT, "layer.1.up.weight": FMT}


def test_inputs_have_names_too_and_dynamic_sizes_fit():
    assert assign_formats({"x": FMT, "args.?": pith.Format.bsr(4, 4)}, SHAPES).operands["x"] == FMT


def test_submodules_are_asked_only_when_no_operand_matches():
    found = assign_formats({"*.up*": pith.Format.dense(1), "*.act": "csr"}, {"0.up": (4,)}, ["0.up", "0.act"])
    assert list(found.operands) == ["0.up"] and found.activations == {"0.act": pith.Format.csr()}


def test_two_patterns_that_agree_are_no_conflict():
    assert len(assign_formats({"*.0.up.weight": FMT, "*.up.weight": FMT}, SHAPES).operands) == 2


def test_two_patterns_that_disagree_name_both():
    with pytest.raises(pith.ImportProgramError, match=r"'\*\.weight' and '\*\.0\.up\.\*' give layer\.0\.up\.weight"):
        assign_formats({"*.weight": FMT, "*.0.up.*": "csr"}, SHAPES)


@pytest.mark.parametrize("pattern", ["layer.0.up.wieght", "*.upp.weight", "up.weight"])
def test_a_pattern_that_names_nothing_lists_close_names(pattern):
    with pytest.raises(pith.ImportProgramError, match=r"close names: .*layer\.\d\.up\.weight") as e:
        assign_formats({pattern: FMT}, SHAPES)
    assert e.value.where == f"sparsity[{pattern!r}]"


def test_a_dynamic_mark_that_names_nothing_lists_submodules():
    with pytest.raises(pith.ImportProgramError, match=r"matches no submodule; close names: 0, 1\.act"):
        assign_formats({"zzz": pith.dynamic()}, SHAPES, ["0", "1.act"])


def test_weights_where_layers_are_named():
    with pytest.raises(pith.ImportProgramError, match=r"match layers, not their weights: '\*\.up'"):
        assign_formats({"*.up.weight": FMT}, {"0.up": (32, 16)}, kinds="linear layer")


def test_a_format_of_another_rank_or_size_names_the_operand():
    with pytest.raises(pith.ShapeError, match=r"layer\.0\.up\.bias \(sparsity\['\*bias'\]\): .*rank 2"):
        assign_formats({"*bias": FMT}, SHAPES)
    with pytest.raises(pith.ShapeError, match=r"args\.0 .*16 does not divide"):
        assign_formats({"args.0": FMT}, SHAPES)


def test_a_pattern_too_wide_for_its_format_says_which_of_its_names_fit():
    shapes = {"norm.weight": (8,), "up.weight": (8, 16), "conv.weight": (4, 4, 3, 3)}
    with pytest.raises(pith.ShapeError, match=r"norm\.weight .*rank 2") as e:
        assign_formats({"*.weight": FMT}, shapes)
    assert e.value.hint == "name what it is for: 'up.weight'"
    with pytest.raises(pith.ShapeError, match="rank 3") as e:
        assign_formats({"conv.weight": "MCRS: RS->C1->C0(2:4)"}, shapes)
    assert "MCRS: R->S->C1->C0(2:4)" in e.value.hint
    assign_formats({"conv.weight": "MCRS: R->S->C1->C0(2:4)"}, shapes)


def test_a_ratio_alone_says_how_it_is_written():
    with pytest.raises(pith.FormatError, match="'2:4'") as e:
        as_format("2:4", "sparsity['w']")
    assert "C0(2:4)" in e.value.hint


def test_quantised_operands_have_a_format_and_what_was_said():
    q, scheme = pith.quantize(np.eye(8, dtype=np.float32), "csr"), pith.Quantized("C0(2:4)", bits=4, group=8)
    found = assign_formats({"args.0": q, "*.0.up.weight": scheme}, SHAPES)
    assert found.operands["args.0"] == pith.Format.csr() and found.operands["layer.0.up.weight"].density == 0.5
    assert found.quantized == found.said == {"args.0": q, "layer.0.up.weight": scheme}


def test_quantised_tensors_of_another_shape_and_activations_are_refused():
    q = pith.quantize(np.eye(4, dtype=np.float32))
    with pytest.raises(pith.ShapeError, match=r"args\.0 .*shape \(8, 8\), got \(4, 4\)"):
        assign_formats({"args.0": q}, SHAPES)
    with pytest.raises(pith.UnsupportedError, match="act is a submodule") as e:
        assign_formats({"act": q}, SHAPES, ["act"])
    assert "act.weight" in e.value.hint


@pytest.mark.parametrize("value", [3, "2:4", "nonsense", None])
def test_what_is_no_format_is_refused_with_its_place(value):
    with pytest.raises(pith.FormatError) as e:
        as_format(value, "sparsity['x']")
    assert e.value.where == "sparsity['x']" and e.value.hint


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    import pith.torch

    monkeypatch.delitem(pith.torch.__dict__, "import_program", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(pith.ToolError, match=r"pip install 'pith-mlir\[torch\]'"):
        _ = pith.torch.import_program
