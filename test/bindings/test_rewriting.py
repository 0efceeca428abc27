"""Patterns, conversions and passes written in Python, on pith ops."""

import pytest
from pith import dialect
from pith._mlir import PassManager, ir, rewrite

ROUND_TRIP = """
#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>) -> tensor<8x16xf32, #nm> {
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #nm>) -> tensor<8x16xf32>
  %1 = "pith.compress"(%0) : (tensor<8x16xf32>) -> tensor<8x16xf32, #nm>
  return %1 : tensor<8x16xf32, #nm>
}
"""


def drop_round_trip(op, rewriter):
    """compress(decompress(x)) = x."""
    producer = op.operands[0].owner
    if isinstance(producer, ir.Block) or producer.name != "pith.decompress":
        return True
    if producer.operands[0].type != op.results[0].type:
        return True
    rewriter.replace_op(op, [producer.operands[0]])
    return False


@pytest.mark.parametrize("root", ["pith.compress", dialect.CompressOp])
def test_greedy_patterns(context, root):
    module = ir.Module.parse(ROUND_TRIP)
    patterns = rewrite.RewritePatternSet()
    patterns.add(root, drop_round_trip)
    rewrite.apply_patterns_and_fold_greedily(module, patterns.freeze())
    assert "pith.compress" not in str(module)
    assert "pith.decompress" not in str(module)


def test_walk_patterns(context):
    module = ir.Module.parse(ROUND_TRIP)
    patterns = rewrite.RewritePatternSet()
    patterns.add(dialect.CompressOp, drop_round_trip)
    rewrite.walk_and_apply_patterns(module.operation, patterns.freeze())
    assert "pith.compress" not in str(module)


class KeepingConverter(rewrite.TypeConverter):
    """A converter that owns its callables: the host's does not."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def add_conversion(self, convert):
        self.kept.append(convert)
        super().add_conversion(convert)


def test_conversion_with_a_converter_that_keeps_its_callables(context):
    module = ir.Module.parse(
        """func.func @f(%a: tensor<8x16xf32>) -> index {
          %0 = "pith.validate"(%a) {format = #pith.format<affine_map<(d0, d1) -> (d0, d1)>,
            [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>} : (tensor<8x16xf32>) -> index
          return %0 : index
        }"""
    )
    converter = KeepingConverter()
    converter.add_conversion(lambda t: t)

    def to_constant(op, adaptor, types, rewriter):
        with rewriter.ip, op.location:
            minus_one = ir.Operation.create(
                "arith.constant",
                results=[ir.IndexType.get()],
                attributes={"value": ir.IntegerAttr.get(ir.IndexType.get(), -1)},
            )
        rewriter.replace_op(op, minus_one)

    patterns = rewrite.RewritePatternSet()
    patterns.add_conversion(dialect.ValidateOp, to_constant, converter)
    target = rewrite.ConversionTarget()
    target.add_illegal_dialect("pith")
    target.add_legal_dialect("arith", "func")
    rewrite.apply_partial_conversion(module.operation, target, patterns.freeze())
    assert "arith.constant -1 : index" in str(module)
    assert "pith.validate" not in str(module)


def test_python_passes_run_between_upstreams(context):
    seen = []
    pm = PassManager("builtin.module")
    pm.add("cse")
    pm.add(lambda op, pass_: seen.append(op.name), name="look")
    pm.run(ir.Module.parse(ROUND_TRIP).operation)
    assert seen == ["builtin.module"]


def test_python_passes_have_no_pipeline_name(context):
    with pytest.raises(ValueError, match="does not refer to a registered pass"):
        PassManager.parse("builtin.module(pith-infer-pit-axes)")


def test_nesting_a_python_pass_aborts(run_script):
    done = run_script("""
from pith import dialect
from pith._mlir import PassManager, ir
with dialect.make_context(), ir.Location.unknown():
    pm = PassManager("builtin.module")
    pm.add(lambda op, pass_: None, name="nested", op_name="func.func")
    pm.run(ir.Module.parse("func.func private @f()").operation)
""")
    assert done.returncode < 0


def test_touching_an_erased_op_ends_the_process(run_script):
    done = run_script("""
from pith import dialect
from pith._mlir import ir, rewrite
with dialect.make_context(), ir.Location.unknown():
    module = ir.Module.parse('''func.func @f(%a: tensor<8xf32>) {
      %p = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
        : (tensor<8xf32>) -> !pith.pattern<[8], [1]>
      return
    }''')
    def erase(op, rewriter):
        rewriter.erase_op(op)
        for _ in range(100000):
            str(op)
    patterns = rewrite.RewritePatternSet()
    patterns.add("pith.detect", erase)
    rewrite.walk_and_apply_patterns(module.operation, patterns.freeze())
""")
    assert done.returncode < 0
