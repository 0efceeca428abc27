"""Fragments of the emulated tensor cores against plain matrix products with distinct values.

Layouts: PTX ISA, "Matrix fragments for mma.*", "Sparse matrix storage", "ldmatrix". The tests place every element by
those tables themselves and do not share code with the emulator.
"""

import ml_dtypes
import numpy as np
import pith
import pytest
from emulator_programs import SHARED, run

DTYPES = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
}
LANE = np.arange(32)
GROUP, THREAD = LANE // 4, LANE % 4

SHAPES = [
    # input, output, (m, n, k)
    ("f16", "f32", (16, 8, 8)),
    ("f16", "f16", (16, 8, 8)),
    ("f16", "f32", (16, 8, 16)),
    ("f16", "f16", (16, 8, 16)),
    ("bf16", "f32", (16, 8, 8)),
    ("bf16", "f32", (16, 8, 16)),
    ("f32", "f32", (16, 8, 4)),
    ("f32", "f32", (16, 8, 8)),
    ("i8", "i32", (16, 8, 16)),
    ("i8", "i32", (16, 8, 32)),
]


def places_of_a(packed, depth):
    """(rows, columns) of A's registers: arrays of lanes x registers x elements."""
    r, j = np.arange(16 * depth // 32 // packed)[:, None], np.arange(packed)
    rows = GROUP[:, None, None] + 8 * (r % 2) + 0 * j
    return rows, packed * THREAD[:, None, None] + 4 * packed * (r // 2) + j


def places_of_b(packed, depth):
    r, j = np.arange(8 * depth // 32 // packed)[:, None], np.arange(packed)
    rows = packed * THREAD[:, None, None] + 4 * packed * r + j
    return rows, GROUP[:, None, None] + 0 * rows


def places_of_c():
    r, j = np.arange(2)[:, None], np.arange(2)
    rows = GROUP[:, None, None] + 8 * r + 0 * j
    return rows, 2 * THREAD[:, None, None] + j + 0 * r


def values(rng, shape, element):
    if element == "i8":
        return rng.integers(-100, 100, shape).astype(np.int8)
    # Few significant bits: products are exact, so that a wrong place shows and rounding does not.
    return rng.integers(-15, 16, shape).astype(np.float32).astype(DTYPES[element])


def load_fragment(name, fragment, element):
    registers, packed = fragment.shape[1:]
    vector = f"vector<{registers}x{packed}x{element}>"
    memory = f"memref<32x{registers}x{packed}x{element}>"
    return (
        f"""
    %{name} = vector.transfer_read %{name}_in[%t, %c0, %c0], %{element}_pad {{in_bounds = [true, true]}}
      : {memory}, {vector}""",
        memory,
        vector,
    )


def padding(*elements):
    return "\n".join(
        f"    %{e}_pad = arith.constant {'0' if e[0] == 'i' else '0.0'} : {e}" for e in sorted(set(elements))
    )


@pytest.mark.parametrize(("element", "output", "shape"), SHAPES)
def test_mma_sync(element, output, shape):
    rng = np.random.default_rng(shape)
    m, n, k = shape
    a, b = values(rng, (m, k), element), values(rng, (k, n), element)
    c = rng.integers(-50, 50, (m, n)).astype(DTYPES[output])
    packed = 4 // a.dtype.itemsize
    fragments = {"a": a[places_of_a(packed, k)], "b": b[places_of_b(packed, k)], "c": c[places_of_c()]}
    out = multiply(fragments, element, output, shape)
    expected = a.astype("f8") @ b.astype("f8") + c.astype("f8")
    np.testing.assert_array_equal(gathered(out).astype("f8"), expected.astype(DTYPES[output]).astype("f8"))


def multiply(fragments, element, output, shape, selector=None):
    """D's fragments of one product: ``mma.sync``, or ``mma.sp.sync`` with ``fragments["meta"]`` and a selector."""
    elements = {name: output if name == "c" else "i16" if name == "meta" else element for name in fragments}
    loads, memories, vectors = {}, {}, {}
    for name, fragment in fragments.items():
        loads[name], memories[name], vectors[name] = load_fragment(name, fragment, elements[name])
    options = [f"mmaShape = [{', '.join(map(str, shape))}]", *["tf32Enabled"] * (element == "f32")]
    if selector is None:
        op, metadata = "mma.sync", ""
    else:
        op, metadata = "mma.sp.sync", "metadata(%flat)"
        loads["meta"] += "\n    %flat = vector.shape_cast %meta : vector<1x2xi16> to vector<2xi16>"
        options.append(f"sparsitySelector = {selector} : i32")
    body = f"""
{padding(*elements.values())}
{"".join(loads.values())}
    %d = nvgpu.{op}(%a, %b, %c) {metadata} {{{", ".join(options)}}}
      : ({vectors["a"]}, {vectors["b"]}, {vectors["c"]}) -> {vectors["c"]}
    vector.transfer_write %d, %out[%t, %c0, %c0] {{in_bounds = [true, true]}} : {vectors["c"]}, {memories["c"]}
"""
    out = np.full(fragments["c"].shape, -1, DTYPES[output])
    names = {f"{name}_in": memory for name, memory in memories.items()}
    run(body, {**names, "out": memories["c"]}, [*fragments.values(), out])
    return out


def gathered(fragments):
    """The matrix that fragments of D are."""
    out = np.empty((16, 8), fragments.dtype)
    out[places_of_c()] = fragments
    return out


def test_sums_of_bytes_saturate():
    """nvgpu makes ``mma.sync`` of bytes with ``.satfinite``."""
    a, b = np.full((16, 32), 127, np.int8), np.full((32, 8), 127, np.int8)
    c = np.full((16, 8), 2**31 - 1000, np.int32)
    fragments = {"a": a[places_of_a(4, 32)], "b": b[places_of_b(4, 32)], "c": c[places_of_c()]}
    assert (multiply(fragments, "i8", "i32", (16, 8, 32)) == 2**31 - 1).all()


def test_tf32_drops_the_lower_bits_of_its_inputs():
    a, b = np.full((16, 8), 1 + 2**-12, np.float32), np.eye(8, dtype=np.float32)
    c = np.zeros((16, 8), np.float32)
    fragments = {"a": a[places_of_a(1, 8)], "b": b[places_of_b(1, 8)], "c": c[places_of_c()]}
    assert (gathered(multiply(fragments, "f32", "f32", (16, 8, 8))) == 1).all()


SPARSE = [
    # input, output, (m, n, k), selectors
    ("f16", "f32", (16, 8, 16), (0, 1)),
    ("f16", "f32", (16, 8, 32), (0, 1)),
    ("f16", "f16", (16, 8, 32), (0,)),
    ("bf16", "f32", (16, 8, 32), (1,)),
    ("f32", "f32", (16, 8, 8), (0, 1)),
    ("f32", "f32", (16, 8, 16), (0, 1)),
    ("i8", "i32", (16, 8, 32), (0, 1)),
    ("i8", "i32", (16, 8, 64), (0,)),
]


def two_of_four(rng, shape, element):
    """A sparse matrix, its stored elements, and the four bits of every chunk (rows x chunks)."""
    rows, depth = shape
    wide, kept = (2, 1) if element == "f32" else (4, 2)  # of f32, one of two is stored: its two halves of four
    chunks = depth // wide
    chosen = np.sort(rng.random((rows, chunks, wide)).argsort(-1)[..., :kept], -1)
    stored = values(rng, (rows, chunks, kept), element)
    dense = np.zeros((rows, chunks, wide), stored.dtype)
    np.put_along_axis(dense, chosen, stored, -1)
    bits = np.where(chosen[..., 0] == 0, 0b0100, 0b1110) if kept == 1 else chosen[..., 0] | chosen[..., 1] << 2
    return dense.reshape(shape), stored.reshape(rows, depth // 2), bits


def metadata_words(bits, element, selector):
    """Each lane's word. Lanes that do not contribute hold what would be invalid."""
    words = np.zeros(32, np.uint32)
    chunks = bits.shape[1]

    def pack(row):
        return sum(int(x) << 4 * i for i, x in enumerate(row))

    for lane in range(32):
        g, t = lane // 4, lane % 4
        if element == "i8":
            contributes, part = (t // 2 == selector, 0) if chunks == 8 else (True, t // 2)
            word = pack(bits[g + 8 * (t % 2), 8 * part : 8 * part + 8])
        else:
            contributes, part = (t == selector, 0) if chunks == 4 else (t // 2 == selector, t % 2)
            word = pack(bits[g, 4 * part : 4 * part + 4]) | pack(bits[g + 8, 4 * part : 4 * part + 4]) << 16
        words[lane] = word if contributes else 0
    return words.view(np.int16).reshape(32, 1, 2)


@pytest.mark.parametrize(
    ("element", "output", "shape", "selector"), [(e, o, s, f) for e, o, s, selectors in SPARSE for f in selectors]
)
def test_mma_sp_sync(element, output, shape, selector):
    rng = np.random.default_rng([*shape, selector])
    m, n, k = shape
    a, stored, bits = two_of_four(rng, (m, k), element)
    b, c = values(rng, (k, n), element), rng.integers(-50, 50, (m, n)).astype(DTYPES[output])
    packed = 4 // a.dtype.itemsize
    fragments = {"a": stored[places_of_a(packed, k // 2)], "b": b[places_of_b(packed, k)], "c": c[places_of_c()]}
    fragments["meta"] = metadata_words(bits, element, selector)
    out = multiply(fragments, element, output, shape, selector)
    expected = a.astype("f8") @ b.astype("f8") + c.astype("f8")
    np.testing.assert_array_equal(gathered(out).astype("f8"), expected.astype(DTYPES[output]).astype("f8"))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_ldmatrix(count, transpose):
    """Lane l addresses row l % 8 of matrix l / 8; the addresses of the other lanes are not used."""
    tile = f"memref<32x16xf16, {SHARED}>"
    result = f"vector<{count}x2xf16>"
    body = f"""
    %pad = arith.constant 0.0 : f16
    scf.for %j = %c0 to %c16 step %c1 {{
      %x = memref.load %a[%t, %j] : memref<32x16xf16>
      memref.store %x, %s[%t, %j] : {tile}
    }}
    gpu.barrier
    %limit = arith.constant {8 * count} : index
    %used = arith.cmpi ult, %t, %limit : index
    %far = arith.constant 1000 : index
    %row = arith.select %used, %t, %far : index
    %v = nvgpu.ldmatrix %s[%row, %c8] {{numTiles = {count} : i32, transpose = {str(transpose).lower()}}}
      : {tile} -> {result}
    vector.transfer_write %v, %out[%t, %c0, %c0] {{in_bounds = [true, true]}} : {result}, memref<32x{count}x2xf16>
"""
    a = np.arange(512).reshape(32, 16).astype(np.float16)
    out = np.zeros((32, count, 2), np.float16)
    arguments = {"a": "memref<32x16xf16>", "out": f"memref<32x{count}x2xf16>"}
    run(body, arguments, [a, out], static=f"%s: {tile}")
    for q in range(count):
        matrix = a[8 * q : 8 * q + 8, 8:]
        matrix = matrix.T if transpose else matrix
        np.testing.assert_array_equal(out[:, q], matrix[GROUP[:, None], 2 * THREAD[:, None] + np.arange(2)])


def test_elements_that_metadata_leaves_out_are_not_multiplied():
    """All of A keeps the first two of every four: what B has beside the others does not matter."""
    a, b = np.ones((16, 16), np.float16), np.ones((32, 8), np.float16)
    b[2::4], b[3::4] = np.inf, np.nan
    fragments = {"a": a[places_of_a(2, 16)], "b": b[places_of_b(2, 32)], "c": np.zeros((32, 2, 2), np.float32)}
    fragments["meta"] = metadata_words(np.full((16, 8), 0b0100), "f16", 0)
    assert (gathered(multiply(fragments, "f16", "f32", (16, 8, 32), 0)) == 16).all()


def test_invalid_metadata_is_a_fault():
    a, b, c = np.zeros((32, 4, 2), np.float16), np.zeros((32, 4, 2), np.float16), np.zeros((32, 2, 2), np.float32)
    meta = np.zeros((32, 1, 2), np.int16)
    with pytest.raises(pith.KernelFault, match=r"invalid sparsity metadata 0b0000 \(row 0, chunk 0\)") as caught:
        multiply({"a": a, "b": b, "c": c, "meta": meta}, "f16", "f32", (16, 8, 32), 0)
    assert caught.value.kind == "invalid"
