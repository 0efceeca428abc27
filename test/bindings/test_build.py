"""``build()`` infers result types and makes ops that verify; bytecode and IRDL keep them."""

import io

import pytest
from pith import dialect
from pith._mlir import func, ir, linalg
from pith.errors import ShapeError
from pith.formats import HSS, Format

FORMATS = {
    "csr": Format.csr(),
    "csc": Format.csc(0),
    "coo": Format.coo(2, 16),
    "bsr": Format.bsr(2, 4),
    "bitmask": Format.make(2, (0, "dense"), (1, "bitmask"), pos_width=32),
    "mixed": Format.make(2, (0, "compressed"), (1, "loose_compressed"), pos_width=64, crd_width=8),
    "hss": HSS.parse("C1(3:4)->C0(2:4)").to_format(),
    "shared": HSS.parse("V(4)C1(1:2)->B(4x1)C0(2:4)").to_format(),
}


def tensor_type(*shape: int) -> ir.RankedTensorType:
    dynamic = ir.ShapedType.get_dynamic_size()
    return ir.RankedTensorType.get([dynamic if s < 0 else s for s in shape], ir.F32Type.get())


def build_function(types, body) -> ir.Module:
    module = ir.Module.create()
    with ir.InsertionPoint(module.body):
        func.FuncOp.from_py_func(*types, name="f")(body)
    assert module.operation.verify()
    assert dialect.verify_module(module)
    return module


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_every_format_goes_around(context, fmt):
    def body(dense):
        encoded = dialect.CompressOp.build(dialect.PruneOp.build(dense, fmt).result, fmt).result
        parts = dialect.DisassembleOp.build(encoded)
        whole = dialect.AssembleOp.build(encoded.type, parts.buffers)
        assert list(whole.buffers) == list(parts.buffers)
        assert [b.type for b in parts.buffers] == dialect.buffer_types(encoded.type)
        assert dialect.encoding_of(whole.result.type) == fmt
        return dialect.DecompressOp.build(whole.result).result, dialect.ValidateOp.build(dense, fmt).result

    build_function([tensor_type(8, 16)], body)


def test_storage_order_survives_grouping(context):
    """Two levels with positions and coordinates: storage order interleaves what the op groups."""

    def body(dense):
        parts = dialect.DisassembleOp.build(dialect.CompressOp.build(dense, FORMATS["mixed"]).result)
        return list(parts.buffers)

    module = build_function([tensor_type(8, 16)], body)
    returned = module.body.operations[0].regions[0].blocks[0].operations[2].operands
    assert [ir.OpResult(v).result_number for v in returned] == [0, 2, 1, 3, 4]


def test_patterns_infer_their_types(context):
    def body(x, y):
        pattern = dialect.DetectOp.build(x, [0, 1], [1, 32], 0.5).result
        assert str(pattern.type) == "!pith.pattern<[100, -1], [1, 32]>"
        tile = dialect.SReadOp.build(x, pattern, [0, 1]).result
        assert str(tile.type) == "tensor<?x32xf32>"
        columns = dialect.SReadOp.build(y, pattern, [-1, 0]).result
        assert str(columns.type) == "tensor<?x7xf32>"
        dialect.SWriteOp.build(columns, pattern, y, [-1, 0], accumulate=True)
        return dialect.SWriteOp.build(tile, pattern, x, [0, 1]).result

    build_function([tensor_type(100, -1), tensor_type(-1, 7)], body)


def matmul_maps() -> list[ir.AffineMap]:
    m, n, k = (ir.AffineDimExpr.get(i) for i in range(3))
    return [ir.AffineMap.get(3, 0, r) for r in ([m, k], [k, n], [m, n])]


def test_pit_tile_builds_its_body(context):
    def body(a, b, c):
        pattern = dialect.DetectOp.build(a, [0], [2]).result
        op = dialect.PitTileOp.build(
            [pattern], [a, b], c, matmul_maps(), ["parallel", "parallel", "reduction"], [0], [32, 0, 64], [1],
            lambda ta, tb, tc: linalg.matmul(ta, tb, outs=[tc]),
        )  # fmt: skip
        assert op.inputs == [a, b]
        assert op.init == c
        tiling = dialect.tiling_of(op)
        assert [tiling.operand_dims(i) for i in range(3)] == [(0,), (-1,), (0,)]
        assert tiling.packed_axes == (0,)
        assert [str(v.type) for v in op.body.blocks[0].arguments] == [
            "tensor<32x64xf32>",
            "tensor<64x?xf32>",
            "tensor<32x?xf32>",
        ]
        return op.result

    build_function([tensor_type(128, 256), tensor_type(256, -1), tensor_type(128, -1)], body)


def test_pit_tile_counts_its_inputs(context):
    def body(a):
        pattern = dialect.DetectOp.build(a, [0], [1]).result
        with pytest.raises(ShapeError, match="at most 8 inputs, got 9"):
            dialect.PitTileOp.build([pattern], [a] * 9, a, [], [], [0], [1], [1], lambda *tiles: tiles[-1])
        for count in (0, 4):
            with pytest.raises(ShapeError, match=f"1 to 3 patterns, got {count}"):
                dialect.PitTileOp.build([pattern] * count, [a], a, [], [], [0], [1], [1], lambda *tiles: tiles[-1])
        return a

    build_function([tensor_type(8)], body)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_attributes_round_trip_to_python(context, fmt):
    attr = dialect.FormatAttr.from_format(fmt)
    assert attr.to_format() == fmt
    assert ir.Attribute.parse(str(attr)) == attr


def test_buffers_and_patterns_round_trip_to_python(context):
    buffer = dialect.Buffer(4096, "grow", "global")
    assert dialect.BufferAttr.from_buffer(buffer).to_buffer() == buffer
    pattern = dialect.PatternType.from_shape([100, -1], [32, 1])
    assert pattern.to_shape() == dialect.PatternShape((100, -1), (32, 1))
    assert ir.Type.parse(str(pattern)) == pattern


def test_bytecode_round_trip(context):
    module = build_function([tensor_type(8, 16)], lambda a: dialect.CompressOp.build(a, FORMATS["hss"]).result)
    stream = io.BytesIO()
    module.operation.write_bytecode(stream)
    again = ir.Module.parse(stream.getvalue())
    assert str(again) == str(module)
    assert isinstance(again.body.operations[0].regions[0].blocks[0].operations[0], dialect.CompressOp)


def test_irdl_names_everything():
    text = dialect.dump_irdl()
    for op in dialect.Pith.operations:
        assert f"irdl.operation @{op._op_name} " in text
    for attr in dialect.Pith.attributes:
        assert f"irdl.attribute @{attr._name} " in text
    assert "irdl.type @pattern " in text
