"""Analyses behind sampled products: which ops are ones, and which tile a format gets."""

from __future__ import annotations

import itertools

import pytest
from format_strategies import formats
from hypothesis import given, settings
from pith._mlir import ir, linalg
from pith.dialect import make_context
from pith.formats import HSS, Format
from pith.formats.attribute import format_attribute
from pith.lowering.sampled.match import match_sampled
from pith.lowering.sampled.tile import SUMS, Tile, choose_tile, leaf_of

CSR, CSC = Format.csr(), Format.csc()
PRODUCT = """%p = arith.mulf %v, %w : f32
        %t = arith.addf %s, %p : f32
        linalg.yield %t : f32"""
MAPS = ("i, k", "k, j", "i, j")


@pytest.fixture
def context():
    with make_context() as context, ir.Location.unknown():
        yield context


def op(context, body=PRODUCT, maps=MAPS, fmt=CSR, kinds="ppr", element="f32") -> ir.OpView:
    """An op on 8x8 operands with an encoded result; the caller keeps the module alive through it."""
    dims = ", ".join(f"affine_map<(i, j, k) -> ({m})>" for m in maps)
    iterators = ", ".join({"p": '"parallel"', "r": '"reduction"'}[k] for k in kinds)
    encoded, dense = f"tensor<8x8x{element}, {format_attribute(fmt)}>", f"tensor<8x8x{element}>"
    text = f"""func.func @f(%a: {dense}, %b: {dense}, %o: {encoded}) -> {encoded} {{
      %r = linalg.generic {{indexing_maps = [{dims}], iterator_types = [{iterators}]}}
          ins(%a, %b : {dense}, {dense}) outs(%o : {encoded}) {{
      ^bb0(%v: {element}, %w: {element}, %s: {element}):
        {body.replace("f32", element)}
      }} -> {encoded}
      return %r : {encoded}
    }}"""
    module = ir.Module.parse(text)
    found = [o for o in module.body.operations[0].regions[0].blocks[0].operations if isinstance(o, linalg.GenericOp)]
    context.kept = module
    return found[0]


def test_factors_are_told_apart_by_the_dimension_they_share_with_the_result(context):
    for maps, contracted in ((MAPS, (1, 0)), (("k, i", "k, j", "i, j"), (0, 0)), (("j, k", "i, k", "i, j"), (1, 1))):
        product = match_sampled(op(context, maps=maps))
        swapped = maps[0] == "j, k"
        arguments = product.op.operands[0], product.op.operands[1]
        assert (product.rows.value, product.cols.value) == (arguments[::-1] if swapped else arguments)
        assert (product.rows.contracted, product.cols.contracted) == contracted


@pytest.mark.parametrize(("element", "sums"), [("f16", "f32"), ("bf16", "f32"), ("f64", "f64"), ("i32", "i32")])
def test_narrow_floats_are_summed_in_f32(context, element, sums):
    body = PRODUCT.replace("mulf", "muli").replace("addf", "addi") if element == "i32" else PRODUCT
    assert str(match_sampled(op(context, body, element=element)).element) == sums


def test_the_first_level_says_what_rows_are(context):
    product = match_sampled(op(context, fmt=CSC))
    assert product.outer == 1
    assert product.rows.value == product.op.operands[1]


@pytest.mark.parametrize(
    "changes",
    [
        dict(body=PRODUCT.replace("mulf", "divf")),
        dict(body=PRODUCT.replace("%s, %p", "%p, %p")),
        dict(body=PRODUCT.replace("%v, %w", "%v, %v")),
        dict(maps=("i, k", "i, k", "i, j")),
        dict(maps=("i, k", "k, k", "i, j")),
        dict(kinds="prp"),
        dict(kinds="ppp"),
    ],
    ids=[
        "quotient",
        "doubled",
        "square",
        "no columns",
        "diagonal",
        "reduced columns",
        "no sum",
    ],
)
def test_what_is_no_sampled_product(context, changes):
    assert match_sampled(op(context, **changes)) is None


@settings(max_examples=200, deadline=None)
@given(formats(max_rank=2, max_levels=6))
def test_tiles_cover_the_block_at_the_end(fmt):
    if fmt.rank != 2:
        return
    outer = fmt.exprs[0].dim
    leaf = leaf_of(fmt, outer)
    assert leaf.level >= 1 and all(level.is_dense for level in fmt.levels[leaf.level :])
    for shared in (False, True):
        tile = choose_tile(leaf, shared)
        assert leaf.rows % tile.rows == 0 and leaf.cols % tile.cols == 0
        assert 1 <= tile.entries * tile.rows * tile.cols <= SUMS
        assert tile.entries == 1 or tile.cols == leaf.cols or leaf.cols == 1
        origins = itertools.product(range(0, leaf.rows, tile.rows), range(0, leaf.cols, tile.cols))
        offsets = [
            r * leaf.row_stride + c * leaf.col_stride + offset
            for r, c in origins
            for offset, entry, *_ in tile.offsets(leaf)
            if entry == 0
        ]
        assert sorted(offsets) == list(range(leaf.size))


@pytest.mark.parametrize(
    "text, tile",
    [
        ("C0(2:4)", Tile(8, 1, 1)),
        ("V(4)C0(2:4)", Tile(2, 4, 1)),
        ("B(4x4)C0(1:2)", Tile(1, 2, 4)),
        ("B(16x16)C0(1:4)", Tile(1, 2, 4)),
    ],
)
def test_rows_that_share_columns_share_loads(text, tile):
    assert choose_tile(leaf_of(HSS.parse(text).to_format(), 0), shared=True) == tile
