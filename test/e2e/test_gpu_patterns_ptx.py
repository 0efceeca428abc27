"""Kernels that make patterns, and grouped products, through ``ptxas``: no spills, and loads of 16 bytes."""

import re

import pattern_programs as programs
import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import GpuTarget
from pith.tools import ptxas
from pith.workloads.moe_ir import grouped_source

pytestmark = needs_ptxas

PROGRAMS = {
    "detect_elements": programs.detect([-1, -1], "f16", (0, 1), (1, 1)),
    "detect_columns": programs.detect([-1, -1], "bf16", (0, 1), (32, 1)),
    "detect_blocks": programs.detect([-1, -1], "f32", (0, 1), (32, 64)),
    "detect_rows_in_order": programs.detect([-1, -1], "f16", (0,), (1,), ", pith.deterministic = true"),
    "detect_by_channel": programs.detect_by("f16", (1, 2), "tensor<?xf32>", (1,)),
    "union": programs.sets("union", (2, 3)),
    "topk": programs.topk("f16", 2),
    "sample": programs.sample("f16"),
    "lengths": programs.from_lengths("i64", 4),
    "routing": programs.from_routing("i32", 2),
    "grouped_f16": grouped_source("f16", "f16", True, "gelu", True),
    "grouped_bf16": grouped_source("bf16", "bf16", False, None, False),
    "grouped_f32": grouped_source("f32", "f32", True, "silu", False),
}


def ptx_of(source, chip):
    with dialect.make_context(), ir.Location.unknown():
        return compile_ptx(ir.Module.parse(source), GpuTarget(chip)).ptx


@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles_without_spills(name, chip):
    made = ptxas.assemble(ptx_of(PROGRAMS[name], chip), chip)
    assert made.cubin and max(made.spill_bytes.values(), default=0) == 0


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n.startswith("detect")])
def test_data_is_read_16_bytes_at_a_time_and_blocks_ask_for_room_once(name):
    text = ptx_of(PROGRAMS[name], "sm_90")
    assert re.search(r"ld\.global(\.nc)?\.v4\.b32", text)
    assert len(re.findall(r"atom\.global\.add", text)) == (0 if "order" in name else 1)
