"""Edges of verifiers written in Python."""

import pytest
from pith import dialect
from pith._mlir import ext, ir


def define(name: str, verify) -> type:
    D = type(name, (ext.Dialect,), {}, name=name)
    type("Op", (D.Operation,), {"__annotations__": {}, "verify_invariants": verify}, name="op")
    return D


def test_a_verifier_returns_a_bool(context):
    define("returns_true", lambda op: True).load()
    assert ir.Module.parse('"returns_true.op"() : () -> ()').operation.verify()


def test_false_without_a_diagnostic_fails(context):
    define("returns_false", lambda op: False).load()
    with pytest.raises(ir.MLIRError):
        ir.Module.parse('"returns_false.op"() : () -> ()')


def test_none_is_a_bad_cast(context):
    define("returns_none", lambda op: None).load()
    with pytest.raises(RuntimeError, match="bad_cast"):
        ir.Module.parse('"returns_none.op"() : () -> ()')


def test_an_exception_passes_through(context):
    def explode(op):
        raise KeyError("from the verifier")

    define("raises", explode).load()
    with pytest.raises(KeyError, match="from the verifier"):
        ir.Module.parse('"raises.op"() : () -> ()')


def test_python_verifiers_run_before_irdl(context):
    seen = []
    define("runs_first", lambda op: bool(seen.append(len(op.operation.results))) or True).load()
    with pytest.raises(ir.MLIRError, match="expects exactly 0 results, but got 1"):
        ir.Module.parse('%0 = "runs_first.op"() : () -> index')
    assert seen and set(seen) == {1}


def test_a_diagnostic_is_at_the_op(context):
    text = """func.func @f(%a: tensor<8xf32>) {
      %0 = "pith.compress"(%a) : (tensor<8xf32>) -> tensor<8xf32>
      return
    }"""
    with pytest.raises(ir.MLIRError) as caught:
        ir.Module.parse(text)
    [error] = caught.value.error_diagnostics
    assert error.message == "'pith.compress' op expects result with a #pith.format encoding, got tensor<8xf32>"
    assert ":2:12" in str(error.location)


def test_verify_reports_what_no_op_touches(context):
    module = ir.Module.parse("func.func @f(%p: !pith.pattern<[8], [0]>) { return }")
    found = []
    context.attach_diagnostic_handler(lambda d: bool(found.append(d.message)) or True)
    assert module.operation.verify()
    assert not dialect.verify_module(module)
    assert found == [
        "'func.func' op expects a legal pith type or attribute as block argument 0: "
        "pattern axis 0 expects a granularity >= 1, got 0"
    ]


def test_verify_module_accepts_a_legal_module(context):
    module = ir.Module.parse("func.func @f(%p: !pith.pattern<[8], [1]>) { return }")
    assert dialect.verify_module(module)
    assert dialect.verify_module(module.operation)


def test_attaching_a_trait_to_a_cpp_op_aborts(run_script):
    done = run_script("""
from pith import dialect
from pith._mlir import func, ir
class Trait(ir.DynamicOpTrait):
    def verify_invariants(self):
        return True
with dialect.make_context():
    ir.DynamicOpTrait.attach("func.func", Trait)
""")
    assert done.returncode < 0
