"""Edges of defining ops and attributes in Python."""

import inspect
import textwrap
from collections.abc import Sequence

import pytest
from pith import dialect
from pith._mlir import ext, ir


def new_dialect(name: str) -> type:
    return type(name, (ext.Dialect,), {}, name=name)


def test_future_annotations_break_op_files(context):
    source = textwrap.dedent("""
        from __future__ import annotations
        from pith._mlir import ext, ir
        class D(ext.Dialect, name="future_edge"): pass
        class Op(D.Operation, name="op"):
            source: ext.Operand[ir.RankedTensorType]
    """)
    names = {"__name__": "future_edge"}
    exec(compile(source, "future_edge.py", "exec"), names)
    assert type(names["Op"]._fields[0]).__name__ == "AttributeDef", "strings are taken for attributes"
    with pytest.raises(TypeError):
        names["D"].load()


def test_init_of_an_op_class_is_overwritten(context):
    D = new_dialect("init_edge")

    class Op(D.Operation, name="op"):
        result: ext.Result[ir.IndexType]

        def __init__(self, *args, **kwargs):
            raise RuntimeError("never called")

    D.load()
    with ir.InsertionPoint(ir.Module.create().body):
        assert Op(ir.IndexType.get()).operation.name == "init_edge.op"


def test_constructor_order_is_field_order():
    parameters = list(inspect.signature(dialect.SWriteOp.__init__).parameters)
    assert parameters == ["self", "result", "tile", "pattern", "dest", "dims", "accumulate", "loc", "ip"]


def test_inferred_fields_come_last():
    D = new_dialect("infer_edge")

    class Last(D.Operation, name="last"):
        value: ir.IntegerAttr
        result: ext.Result[ir.IntegerType[32]] = ext.infer_result()

    assert inspect.signature(Last.__init__).parameters["result"].kind is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(ValueError, match="wrong parameter order"):

        class First(D.Operation, name="first"):
            result: ext.Result[ir.IntegerType[32]] = ext.infer_result()
            value: ir.IntegerAttr


@pytest.mark.parametrize("field", ["operands", "results", "attributes", "operation", "parent", "location", "context"])
def test_reserved_field_names_shadow_the_view(field):
    D = new_dialect(f"reserved_{field}")
    Op = type("Op", (D.Operation,), {"__annotations__": {field: ir.IntegerAttr}}, name="op")
    assert inspect.getattr_static(Op, field) is not inspect.getattr_static(ir.OpView, field, None)
    assert not any(f.name == field for op in dialect.Pith.operations for f in op._fields)


def test_falsy_attributes_are_dropped_by_constructors(context):
    assert not ir.BoolAttr.get(False)
    assert not ir.DenseI64ArrayAttr.get([])
    assert ir.Attribute(ir.BoolAttr.get(False))

    D = new_dialect("falsy_edge")

    class Op(D.Operation, name="op"):
        flag: ir.IntegerAttr

    D.load()
    with ir.InsertionPoint(ir.Module.create().body):
        with pytest.raises(RuntimeError, match=r"invalid .*attribute value"):
            Op(ir.BoolAttr.get(False))
        assert str(Op(ir.Attribute(ir.BoolAttr.get(False))).flag) == "false"


def test_variadic_groups_have_one_type(context):
    D = new_dialect("variadic_edge")

    class Op(D.Operation, name="op"):
        values: Sequence[ext.Operand[ir.RankedTensorType]]

    D.load()
    program = """func.func @f(%a: tensor<{0}xf32>, %b: tensor<5xf32>) {{
      "variadic_edge.op"(%a, %b) : (tensor<{0}xf32>, tensor<5xf32>) -> ()
      return
    }}"""
    assert ir.Module.parse(program.format(5)).operation.verify()
    with pytest.raises(ir.MLIRError, match="expected 'tensor<4xf32>' but got 'tensor<5xf32>'"):
        ir.Module.parse(program.format(4))


def test_dense_arrays_have_no_constraint_name():
    assert not hasattr(ir.DenseI64ArrayAttr, "attr_name")
    assert not hasattr(ir.BoolAttr, "attr_name")


def test_optional_attributes_and_regions_do_not_exist():
    D = new_dialect("optional_edge")
    with pytest.raises(ValueError, match="optional attribute is not currently supported"):
        type("A", (D.Operation,), {"__annotations__": {"a": ir.IntegerAttr | None}}, name="a")
    with pytest.raises(ValueError, match="optional region is not currently supported"):
        type("B", (D.Operation,), {"__annotations__": {"b": ext.Region | None}}, name="b")


def test_attributes_and_types_have_no_verifier(context):
    bad = ir.Attribute.parse("#pith.nm<5, 4>")
    assert isinstance(bad, dialect.NmAttr)
    assert isinstance(ir.Type.parse("!pith.pattern<[], []>"), dialect.PatternType)


def test_parameters_are_checked_by_kind(context):
    with pytest.raises(ir.MLIRError, match=r"expected base attribute 'builtin\.integer'"):
        ir.Attribute.parse('#pith.nm<"two", 4>')
