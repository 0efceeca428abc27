"""Contexts: any number of them, loading twice, and what each knows."""

import gc
import sys

import pytest
from pith import dialect
from pith._mlir import ext, ir
from pith.errors import IRError

PROGRAM = """
#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>) -> tensor<8x16xf32> {
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #nm>) -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}
"""


class Recorder:
    """A finder that finds nothing and notes what was asked for."""

    def __init__(self, attempts: list[str]):
        self.attempts = attempts

    def find_spec(self, name, path=None, target=None):
        self.attempts.append(name)


def first_op(module: ir.Module) -> ir.OpView:
    return module.body.operations[0].regions[0].blocks[0].operations[0]


def test_several_contexts_at_once():
    modules = []
    for _ in range(3):
        with dialect.make_context():
            modules.append(ir.Module.parse(PROGRAM))
    for module in modules:
        with module.context:
            op = first_op(module)
            assert isinstance(op, dialect.DecompressOp)
            assert isinstance(op.source.type.encoding, dialect.FormatAttr)
            assert str(dialect.encoding_of(op.source.type)).endswith("nm(2:4)")


def test_contexts_come_and_go():
    for _ in range(5):
        with dialect.make_context() as ctx:
            assert ir.Module.parse(PROGRAM).operation.verify()
        del ctx
        gc.collect()


def test_load_is_idempotent():
    context = ir.Context()
    dialect.load(context)
    dialect.load(context)
    with context:
        assert ir.Module.parse(PROGRAM).operation.verify()


def test_load_uses_the_current_context():
    with ir.Context() as context:
        dialect.load()
        assert context.is_dialect_loaded("pith")


def test_load_needs_a_context():
    with pytest.raises(IRError, match="no MLIR context"):
        dialect.load()


def test_the_hosts_load_refuses_a_second_time(context):
    with pytest.raises(ext.DialectAlreadyLoadedError):
        dialect.Pith.load()


def test_ops_defined_after_load_are_unknown(context):
    class Late(ext.Dialect, name="late"):
        pass

    class Early(Late.Operation, name="early"):
        pass

    Late.load()

    class TooLate(Late.Operation, name="too_late"):
        pass

    assert Early().operation.verify()
    with pytest.raises(ir.MLIRError, match=r"unregistered operation 'late\.too_late'"):
        ir.Module.parse('"late.too_late"() : () -> ()')


def test_the_bindings_find_the_module_of_the_dialect(context, monkeypatch):
    """While they do not, every cast of a pith type repeats a failing import."""
    attempts = []
    monkeypatch.setattr(sys, "meta_path", [Recorder(attempts), *sys.meta_path])
    module = ir.Module.parse(PROGRAM)
    assert isinstance(first_op(module), dialect.DecompressOp)
    assert dialect.verify_module(module)
    assert attempts == []
