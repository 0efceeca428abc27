"""C++ CSE, DCE and LICM obey the effects that Python-defined ops declare."""

import pytest
from pith._mlir import PassManager, ext, ir


def run(text: str, pipeline: str) -> str:
    module = ir.Module.parse(text)
    PassManager.parse(f"builtin.module({pipeline})").run(module.operation)
    return str(module)


def test_cse_merges_pure_ops(context):
    out = run(
        """func.func @f(%a: tensor<8x16xf32>) -> (!pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>) {
      %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
        : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
      %1 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
        : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
      return %0, %1 : !pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>
    }""",
        "cse",
    )
    assert out.count("pith.detect") == 1


def test_cse_keeps_ops_with_other_attributes(context):
    out = run(
        """func.func @f(%a: tensor<8x8xf32>) -> (!pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>) {
      %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
        : (tensor<8x8xf32>) -> !pith.pattern<[8], [1]>
      %1 = "pith.detect"(%a) {axes = array<i64: 1>, granularity = array<i64: 1>, threshold = 0.0 : f64}
        : (tensor<8x8xf32>) -> !pith.pattern<[8], [1]>
      return %0, %1 : !pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>
    }""",
        "cse",
    )
    assert out.count("pith.detect") == 2


TILE = """func.func @f(%p: !pith.pattern<[8], [1]>, %a: tensor<8xf32>, %c: tensor<8xf32>) {
  %0 = "pith.pit_tile"(%p, %a, %c) ({
  ^bb0(%x: tensor<4xf32>, %y: tensor<4xf32>):
    "pith.yield"(%x) : (tensor<4xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1>,
      indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"],
      axes = array<i64: 0>, tile = array<i64: 4>, micro_tile = array<i64: 1>, accumulate = false}
    : (!pith.pattern<[8], [1]>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}"""


@pytest.mark.parametrize("pipeline", ["cse", "canonicalize", "remove-dead-values"])
def test_dead_region_ops_are_erased_with_their_body(context, pipeline):
    assert "pith." not in run(TILE, pipeline).replace("!pith.pattern", "")


def test_a_pure_terminator_is_not_dead(context):
    live = TILE.replace("{\n  %0", "-> tensor<8xf32> {\n  %0", 1).replace("return\n", "return %0 : tensor<8xf32>\n")
    out = run(live, "canonicalize,cse")
    assert "pith.pit_tile" in out
    assert "pith.yield" in out


def test_licm_hoists_pure_ops(context):
    out = run(
        """func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>, %n: index) -> tensor<?x16xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %e = tensor.empty(%n) : tensor<?x16xf32>
      %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %e) -> tensor<?x16xf32> {
        %t = "pith.sread"(%a, %p) {dims = array<i64: 0>}
          : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
        %s = linalg.add ins(%x, %t : tensor<?x16xf32>, tensor<?x16xf32>) outs(%x : tensor<?x16xf32>) -> tensor<?x16xf32>
        scf.yield %s : tensor<?x16xf32>
      }
      return %r : tensor<?x16xf32>
    }""",
        "func.func(loop-invariant-code-motion)",
    )
    assert out.index("pith.sread") < out.index("scf.for")


def test_effects_are_appended_to_the_list_given(context):
    calls = []

    class D(ext.Dialect, name="effects_edge"):
        pass

    class Writes(ir.MemoryEffectsOpInterface):
        @staticmethod
        def get_effects(op, effects):
            calls.append(hasattr(effects, "append"))
            effects.append(ir.MemoryEffect.Write)

    class Op(D.Operation, name="op"):
        result: ext.Result[ir.IndexType]

    D.load()
    Writes.attach("effects_edge.op")
    out = run('func.func @f() { %0 = "effects_edge.op"() : () -> index return }', "cse")
    assert calls and all(calls)
    assert "effects_edge.op" in out
