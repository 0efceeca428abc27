"""Which sizes of a function's arguments must agree: IR in, rules out."""

from __future__ import annotations

import pytest
from pith._mlir import ir
from pith.dialect import make_context
from pith.formats import Format
from pith.formats.attribute import format_attribute
from pith.passes.analysis.equal_sizes import equal_sizes

T = "tensor<?x?xf32>"
B = "tensor<?x?x?xf32>"


def rules(arguments: str, body: str) -> dict[tuple[tuple[int, int], ...], int | None]:
    """Members -> size of every rule for a function with these arguments; ``#name = ...`` lines come first in them."""
    *aliases, arguments = arguments.split("|")
    with make_context(), ir.Location.unknown():
        text = "\n".join([*aliases, f"func.func @f({arguments}) {{ {body}\n return }}"])
        module = ir.Module.parse(text)
        return {rule.members: rule.size for rule in equal_sizes(module.body.operations[0])}


def test_matmul():
    body = f"%y = linalg.matmul ins(%a, %b : {T}, {T}) outs(%c : {T}) -> {T}"
    found = rules(f"%a: {T}, %b: {T}, %c: {T}", body)
    assert found == {((0, 0), (2, 0)): None, ((0, 1), (1, 0)): None, ((1, 1), (2, 1)): None}


def test_batch_matmul():
    body = f"%y = linalg.batch_matmul ins(%a, %b : {B}, {B}) outs(%c : {B}) -> {B}"
    assert rules(f"%a: {B}, %b: {B}, %c: {B}", body) == {
        ((0, 0), (1, 0), (2, 0)): None,
        ((0, 1), (2, 1)): None,
        ((0, 2), (1, 1)): None,
        ((1, 2), (2, 2)): None,
    }


def generic(left: str, right: str) -> str:
    maps = ", ".join(f"affine_map<(i, j) -> {m}>" for m in (left, right))
    return f"""%y = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins(%a : {T}) outs(%b : {T}) {{
    ^bb0(%p: f32, %q: f32):
      linalg.yield %p : f32
    }} -> {T}"""


def test_transposed_maps():
    found = rules(f"%a: {T}, %b: {T}", generic("(j, i)", "(i, j)"))
    assert found == {((0, 0), (1, 1)): None, ((0, 1), (1, 0)): None}


def test_dimensions_that_are_no_loop_say_nothing():
    assert rules(f"%a: {T}, %b: {T}", generic("(i, 0)", "(i, j)")) == {((0, 0), (1, 0)): None}


def test_sizes_through_dim_empty_and_fill():
    body = f"""%c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %m = tensor.dim %a, %c0 : {T}
      %n = tensor.dim %a, %c1 : {T}
      %e = tensor.empty(%m, %n) : {T}
      %f = linalg.fill ins(%s : f32) outs(%e : {T}) -> {T}
      %y = linalg.matmul ins(%a, %b : {T}, {T}) outs(%f : {T}) -> {T}"""
    found = rules(f"%a: {T}, %b: {T}, %s: f32", body)
    assert found == {((0, 1), (1, 0), (1, 1)): None}


def test_static_sizes_fix_dynamic_ones():
    body = f"%y = linalg.matmul ins(%a, %b : {T}, tensor<7x?xf32>) outs(%c : tensor<?x3xf32>) -> tensor<?x3xf32>"
    found = rules(f"%a: {T}, %b: tensor<7x?xf32>, %c: tensor<?x3xf32>", body)
    assert found == {((0, 0), (2, 0)): None, ((0, 1),): 7, ((1, 1),): 3}


def test_casts_and_constants():
    body = f"""%c4 = arith.constant 4 : index
      %d = tensor.cast %a : {T} to tensor<?x5xf32>
      %e = tensor.empty(%c4) : tensor<?x5xf32>
      %y = arith.addf %d, %e : tensor<?x5xf32>"""
    assert rules(f"%a: {T}", body) == {((0, 0),): 4, ((0, 1),): 5}


def test_encoded_operands():
    csr = f"#csr = {format_attribute(Format.csr())}"
    body = f"""%d = "pith.decompress"(%a) : (tensor<?x?xf32, #csr>) -> {T}
      %y = arith.mulf %d, %b : {T}"""
    assert rules(f"{csr}|%a: tensor<?x?xf32, #csr>, %b: {T}", body) == {((0, 0), (1, 0)): None, ((0, 1), (1, 1)): None}


def test_memrefs():
    body = "linalg.copy ins(%a : memref<?xf32>) outs(%b : memref<?xf32>)"
    assert rules("%a: memref<?xf32>, %b: memref<?xf32>", body) == {((0, 0), (1, 0)): None}


def test_pit_tile_along_what_no_pattern_lists():
    maps = ", ".join(f"affine_map<(m, n, k) -> {m}>" for m in ("(m, k)", "(k, n)", "(m, n)"))
    body = f"""%r = "pith.pit_tile"(%p, %a, %b, %c) ({{
      ^bb0(%ta: tensor<8x8xf32>, %tb: tensor<8x8xf32>, %tc: tensor<8x8xf32>):
        "pith.yield"(%tc) : (tensor<8x8xf32>) -> ()
      }}) {{indexing_maps = [{maps}],
          iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>, tile = array<i64: 8, 8, 8>,
          micro_tile = array<i64: 1>, accumulate = false,
          operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}} :
      (!pith.pattern<[-1], [1]>, {T}, {T}, {T}) -> {T}"""
    found = rules(f"%p: !pith.pattern<[-1], [1]>, %a: {T}, %b: {T}, %c: {T}", body)
    assert found == {((1, 1), (2, 0)): None, ((2, 1), (3, 1)): None}


@pytest.mark.parametrize(
    "body",
    [
        f"scf.if %s {{ %y = arith.addf %a, %b : {T} }}",
        f"%y = linalg.softmax dimension(1) ins(%a : {T}) outs(%b : {T}) -> {T}",
    ],
)
def test_other_ops_say_nothing(body):
    assert rules(f"%a: {T}, %b: {T}, %s: i1", body) == {}


def test_contradictions_give_no_rule():
    body = f"""%d = tensor.cast %a : {T} to tensor<5x?xf32>
      %e = tensor.cast %a : {T} to tensor<6x?xf32>"""
    assert rules(f"%a: {T}", body) == {}


def test_functions_without_a_body_have_no_rules():
    with make_context(), ir.Location.unknown():
        module = ir.Module.parse(f"func.func private @f({T}, {T})")
        assert equal_sizes(module.body.operations[0]) == []
