"""Analyses of the CPU lowering, apart from any lowering: IR or formats in, facts out."""

from __future__ import annotations

import pytest
from format_strategies import formats
from hypothesis import given, settings
from pith._mlir import ir, linalg
from pith.dialect import make_context
from pith.formats import HSS, Format, LevelExpr
from pith.formats.attribute import format_attribute
from pith.formats.sparse_tensor import sparse_tensor_encoding
from pith.lowering import PIPELINES
from pith.lowering import builder as b
from pith.lowering.bufferization.destination import zero_filled
from pith.lowering.cpu import PATHS
from pith.lowering.sparse.contraction import analyse, match_matmul, why_not_sparse

CSR = format_attribute(Format.csr())


@pytest.fixture
def context():
    with make_context() as context, ir.Location.unknown():
        yield context


def generic(body: str, *, sparse: str = CSR, element: str = "f32", maps: str = "", kinds: str = "ppr") -> ir.OpView:
    """The first op of a product with another body, or other maps."""
    maps = maps or "(i, j, k) -> (i, k)|(i, j, k) -> (k, j)|(i, j, k) -> (i, j)"
    dims = ", ".join(f"affine_map<{m}>" for m in maps.split("|"))
    iterators = ", ".join({"p": '"parallel"', "r": '"reduction"'}[k] for k in kinds)
    text = f"""func.func @f(%a: tensor<8x8x{element}, {sparse}>, %x: tensor<8x8x{element}>, %y: tensor<8x8x{element}>)
        -> tensor<8x8x{element}> {{
      %r = linalg.generic {{indexing_maps = [{dims}], iterator_types = [{iterators}]}}
          ins(%a, %x : tensor<8x8x{element}, {sparse}>, tensor<8x8x{element}>) outs(%y : tensor<8x8x{element}>) {{
      ^bb0(%v: {element}, %w: {element}, %o: {element}):
        {body}
      }} -> tensor<8x8x{element}>
      return %r : tensor<8x8x{element}>
    }}"""
    generic.module = ir.Module.parse(text)  # keeps the op alive
    return next(iter(generic.module.body.operations[0].entry_block.operations))


MULTIPLY_ADD = "%p = arith.mulf %v, %w : f32\n %s = arith.addf %o, %p : f32\n linalg.yield %s : f32"
ELEMENTWISE = dict(maps="(i, j) -> (i, j)|(i, j) -> (i, j)|(i, j) -> (i, j)", kinds="pp")
DIAGONAL = {"maps": "(i, j, k) -> (i, i)|(i, j, k) -> (k, j)|(i, j, k) -> (i, j)"}
REPEATS = format_attribute(Format.make(2, (0, "dense"), (1, "compressed(nonunique)")))


@pytest.mark.parametrize(
    "body, options, reason",
    [
        (MULTIPLY_ADD, {}, None),
        ("%p = arith.mulf %v, %w : f32\n linalg.yield %p : f32", ELEMENTWISE, None),
        ("linalg.yield %v : f32", ELEMENTWISE, None),
        ("%p = arith.addf %v, %w : f32\n linalg.yield %p : f32", ELEMENTWISE, "does not vanish"),
        ("%p = arith.maximumf %v, %w : f32\n linalg.yield %p : f32", ELEMENTWISE, "does not vanish"),
        ("%p = arith.mulf %v, %o : f32\n linalg.yield %p : f32", ELEMENTWISE, "depends on the output"),
        ("%p = arith.mulf %v, %w : f32\n linalg.yield %p : f32", {}, "depends on the output"),
        ("%i = linalg.index 0 : index\n linalg.yield %v : f32", ELEMENTWISE, "linalg.index"),
        (MULTIPLY_ADD, {"sparse": REPEATS}, None),
        ("linalg.yield %v : f32", ELEMENTWISE | {"sparse": REPEATS}, "several parts"),
        (
            "%q = arith.mulf %v, %v : f32\n %s = arith.addf %o, %q : f32\n linalg.yield %s : f32",
            {"sparse": REPEATS},
            "several parts",
        ),
        (
            MULTIPLY_ADD,
            {"maps": "(i, j, k) -> (i, i)|(i, j, k) -> (k, j)|(i, j, k) -> (i, j)"},
            "projected permutation",
        ),
    ],
)
def test_when_zeros_may_be_skipped(context, body, options, reason):
    why = why_not_sparse(generic(body, **options), 0)
    assert why is None if reason is None else reason in why


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, (0, 1, False, False)),
        ({"maps": "(i, j, k) -> (i, k)|(i, j, k) -> (j, k)|(i, j, k) -> (i, j)"}, (0, 1, True, False)),
        ({"maps": "(i, j, k) -> (k, i)|(i, j, k) -> (k, j)|(i, j, k) -> (j, i)"}, (1, 0, False, True)),
        ({"maps": "(i, j, k) -> (i, j)|(i, j, k) -> (k, j)|(i, j, k) -> (i, k)", "kinds": "prp"}, (0, 1, True, False)),
        ({"maps": "(i, j, k) -> (i, k)|(i, j, k) -> (i, k)|(i, j, k) -> (i, j)"}, None),
        ({"kinds": "prr", "maps": "(i, j, k) -> (i, k)|(i, j, k) -> (k, j)|(i, j, k) -> (i, i)"}, None),
    ],
)
def test_products_in_any_orientation(context, options, expected):
    """(row dimension, contracted dimension of the sparse operand, dense transposed, output transposed)."""
    found = match_matmul(analyse(generic(MULTIPLY_ADD, **options), 0))
    got = found and (found.row_dim, found.red_dim, found.dense_transposed, found.out_transposed)
    assert got == expected


def test_products_of_other_types_are_no_panels(context):
    op = generic(MULTIPLY_ADD.replace("f32", "f16"), element="f16")
    assert match_matmul(analyse(op, 0)) is None


@pytest.mark.parametrize("value, zero", [("0.0", True), ("1.0", False)])
def test_zero_fills_are_seen_in_both_forms(context, value, zero):
    module = ir.Module.parse(f"""func.func @f(%y: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {{
      %z = arith.constant {value} : f32
      %a = linalg.fill ins(%z : f32) outs(%y : tensor<8xf32>) -> tensor<8xf32>
      %b = linalg.generic {{
          indexing_maps = [affine_map<(i) -> ()>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}
          ins(%z : f32) outs(%y : tensor<8xf32>) {{
      ^bb0(%v: f32, %o: f32):
        linalg.yield %v : f32
      }} -> tensor<8xf32>
      return %a, %b : tensor<8xf32>, tensor<8xf32>
    }}""")
    function = module.body.operations[0]
    for v in list(function.entry_block.operations)[-1].operands:
        assert isinstance(v.owner.opview, (linalg.FillOp, linalg.GenericOp))
        assert zero_filled(v) == (function.arguments[0] if zero else None)


# -- formats upstream can say -----------------------------------------------------------


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(formats())
def test_what_is_said_to_upstream_is_legal_there(fmt):
    text = sparse_tensor_encoding(fmt)
    if text is not None:
        with make_context() as context:
            sizes = "x".join(["24"] * fmt.rank)
            type_ = ir.Type.parse(f"tensor<{sizes}xf32, {text}>", context)
            assert len(type_.shape) == fmt.rank


@pytest.mark.parametrize(
    "fmt",
    [
        HSS.parse("C0(2:4)").to_format(),  # sub-byte coordinates
        HSS.parse("C1(1:2)->C0(2:4)").to_format(nm_width=8),
        HSS.parse("V(4)C0(2:4)").to_format(nm_width=8),
        Format.make(2, (0, "compressed"), (LevelExpr(1, 4), "dense"), (LevelExpr(1, 1, 4), "nm(2:4)"), nm_width=8),
        Format.make(2, (0, "dense"), (1, "bitmask")),
        Format.make(1, (0, "compressed(nonunique)")),
        Format.make(3, (0, "compressed"), (1, "singleton(nonunique)"), (2, "dense")),
        Format.make(1, (LevelExpr(0, 1, 2), "dense"), (LevelExpr(0, 2), "compressed")),  # inside before outside
        Format.dense(),
    ],
    ids=str,
)
def test_what_upstream_cannot_say(fmt):
    assert sparse_tensor_encoding(fmt) is None


# -- index arithmetic -------------------------------------------------------------------


def test_known_indices_need_no_ops(context):
    module = ir.Module.parse("func.func @f(%n: index) { return }")
    block = module.body.operations[0].entry_block
    n = block.arguments[0]
    with ir.InsertionPoint.at_block_begin(block):
        assert (b.add(3, 4), b.sub(9, 2), b.mul(3, 4), b.div(7, 2), b.ceildiv(7, 2), b.mod(7, 2)) == (7, 7, 12, 3, 4, 1)
        assert (b.minimum(3, 4), b.product([2, 3, 4]), b.product([])) == (3, 24, 1)
        assert (b.mul(n, 0), b.mod(n, 1)) == (0, 0)
        for same in (b.add(n, 0), b.add(0, n), b.sub(n, 0), b.mul(1, n), b.div(n, 1), b.ceildiv(n, 1)):
            assert same is n
        assert b.for_loop(0, 1, lambda i, v: [i], [n]) == [0]
        assert b.for_loop(2, 2, lambda i, v: [i], [n]) == [n]
        expr = ir.AffineExpr.get_add(
            ir.AffineExpr.get_mul(ir.AffineExpr.get_dim(0), ir.AffineExpr.get_constant(3)), ir.AffineExpr.get_dim(1)
        )
        assert b.apply(expr, [2, 5]) == 11
    assert len(list(block.operations)) == 1


def test_the_named_pipelines_are_the_stages_of_the_paths():
    """``pith-opt`` and ``pith.compile`` take the same way down."""
    for path, name in (("auto", ""), ("sparsifier", "-by-sparsifier"), ("loops", "-by-loops")):
        text = PIPELINES[f"pith-to-llvm{name}"]
        assert text == ",".join(stage.pipeline for stage in PATHS[path])
