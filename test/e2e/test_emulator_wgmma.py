"""The emulated ``wgmma`` against plain matrix products: layouts as the PTX ISA's table of canonical layouts has them.

"Shared Memory Matrix Layout", "Matrix Descriptor Format" and "Register Fragments" are written down here once more: the
tests share no code with the emulator or the lowering. Every use that hardware leaves undefined is reported.
"""

import ml_dtypes
import numpy as np
import pytest
from emulator_programs import SHARED, fault_of, run

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "i8": np.int8}
NAMES = {"f16": "f16", "bf16": "bf16", "f32": "tf32", "i8": "s8"}
#: Bytes of a swizzled row -> (number in a descriptor, bits of CuTe's Swizzle<bits, 4, 3>).
MODES = {16: (0, 0), 128: (1, 3), 64: (2, 2), 32: (3, 1)}
THREADS = 128


class Layout:
    """A canonical layout of ``places`` x ``depth`` elements; ``mn``: the fast dimension is not k."""

    def __init__(self, row, mn, places, depth, width):
        self.t, self.width, self.mode, self.bits = 16 // width, width, *MODES[row]
        self.row, self.mn = row, mn
        w = row // 16
        atom = 8 * row  # bytes of 8 rows
        if mn:
            blocks = -(-places // (w * self.t))
            self.lbo, self.sbo = (places // 8 * 128, 128) if w == 1 else (atom, blocks * atom)
            self.nbytes = places * depth * width if w == 1 else blocks * atom * -(-depth // 8)
        else:
            self.lbo, self.sbo = (128, 128 * (depth // self.t)) if w == 1 else (16, atom)
            self.nbytes = -(-places // 8) * self.sbo

    def address(self, place, k):
        """((T, w, m), (8, k)) : ((1, T, LBO), (wT, SBO)) and ((8, m), (T, 2k)) : ((wT, SBO), (1, T)), swizzled."""
        t, w = self.t, self.row // 16
        if self.mn:
            c, inside = divmod(place, t)
            out = (c * self.sbo if w == 1 else c % w * 16 + c // w * self.lbo) + k % 8 * w * 16
            out += k // 8 * (self.lbo if w == 1 else self.sbo)
        else:
            c, inside = divmod(k, t)
            out = place % 8 * w * 16 + place // 8 * self.sbo + c * (self.lbo if w == 1 else 16)
        out ^= (out >> 7 & (1 << self.bits) - 1) << 4
        return out + inside * self.width

    @property
    def descriptor(self):
        value = self.lbo >> 4 << 16 | self.sbo >> 4 << 32 | self.mode << 62
        return value - (1 << 64) if value >> 63 else value

    def stored(self, matrix):
        """The bytes of ``matrix[place, k]``; what no element has is poison."""
        out = np.full(-(-self.nbytes // 1024) * 1024, 0x7F, np.uint8)
        raw = np.ascontiguousarray(matrix).view(np.uint8).reshape(*matrix.shape, self.width)
        for p in range(matrix.shape[0]):
            for k in range(matrix.shape[1]):
                at = self.address(p, k)
                out[at : at + self.width] = raw[p, k]
        return out


def struct(element, n):
    return f"!llvm.struct<({', '.join([element] * (n // 2))})>"


FENCE, COMMIT = "    nvvm.wgmma.fence.aligned", "    nvvm.wgmma.commit.group.sync.aligned"
WAIT = "    nvvm.wgmma.wait.group.sync.aligned 0"
PROXY = "    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}"


def multiply(left, right, element, n, fence=FENCE, proxy=PROXY, barrier="    gpu.barrier", after=f"{COMMIT}\n{WAIT}"):
    """A kernel that copies both matrices to shared memory, multiplies them once and stores every thread's sums."""
    result, name = ("i32", "s32") if element == "i8" else ("f32", "f32")
    sums, depth = struct(result, n), 32 // np.dtype(DTYPES[element]).itemsize
    a, z = (-(-x.nbytes // 1024) * 1024 for x in (left, right))
    layouts = ["col" if left.mn else "row", "row" if right.mn else "col"]
    stores = "\n".join(
        f"    %s{i} = llvm.extractvalue %sums[{i}] : {sums}\n    %i{i} = arith.constant {i} : index\n"
        f"    memref.store %s{i}, %out[%t, %i{i}] : memref<{THREADS}x{n // 2}x{result}>"
        for i in range(n // 2)
    )
    body = f"""
    %dynamic = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>
    %shared = memref.view %dynamic[%c0][] : memref<?xi8, {SHARED}> to memref<{a + z}xi8, {SHARED}>
    %threads = arith.constant {THREADS} : index
    %end = arith.constant {a + z} : index
    scf.for %i = %t to %end step %threads {{
      %byte = memref.load %in[%i] : memref<{a + z}xi8>
      memref.store %byte, %shared[%i] : memref<{a + z}xi8, {SHARED}>
    }}
{proxy}
{barrier}
    %start = memref.extract_aligned_pointer_as_index %shared : memref<{a + z}xi8, {SHARED}> -> index
    %far = arith.constant {a} : index
    %second = arith.addi %start, %far : index
    %window = arith.constant 262143 : index
    %sixteen = arith.constant 16 : index
    %a0 = arith.andi %start, %window : index
    %b0 = arith.andi %second, %window : index
    %a1 = arith.divui %a0, %sixteen : index
    %b1 = arith.divui %b0, %sixteen : index
    %a2 = arith.index_cast %a1 : index to i64
    %b2 = arith.index_cast %b1 : index to i64
    %abits = arith.constant {left.descriptor} : i64
    %bbits = arith.constant {right.descriptor} : i64
    %da = arith.ori %a2, %abits : i64
    %db = arith.ori %b2, %bbits : i64
    %zero = llvm.mlir.zero : {sums}
{fence}
    %sums = nvvm.wgmma.mma_async %da, %db, %zero, #nvvm.shape<m = 64, n = {n}, k = {depth}>,
      D [<{name}>, #nvvm.wgmma_scale_out<one>], A [<{NAMES[element]}>, #nvvm.wgmma_scale_in<one>, <{layouts[0]}>],
      B [<{NAMES[element]}>, #nvvm.wgmma_scale_in<one>, <{layouts[1]}>] : {sums} -> {sums}
{after}
{stores}"""
    return body, {"in": f"memref<{a + z}xi8>", "out": f"memref<{THREADS}x{n // 2}x{result}>"}, a + z


def collected(out, n):
    """Register 4 j + 2 h + c of thread t: row 16 (t // 32) + (t % 32) // 4 + 8 h, column 8 j + 2 (t % 4) + c."""
    full = np.zeros((64, n), out.dtype)
    for t in range(THREADS):
        for i in range(n // 2):
            full[16 * (t // 32) + t % 32 // 4 + i // 2 % 2 * 8, i // 4 * 8 + 2 * (t % 4) + i % 2] = out[t, i]
    return full


def example(element, rows, transposed, n):
    rng = np.random.default_rng([n, *rows])
    width = np.dtype(DTYPES[element]).itemsize
    depth = 32 // width
    # Few significant bits: sums are exact, so that a wrong place shows and rounding does not.
    a, b = (rng.integers(-15, 16, (places, depth)).astype(DTYPES[element]) for places in (64, n))
    left, right = (Layout(r, mn, x.shape[0], depth, width) for r, mn, x in zip(rows, transposed, (a, b)))
    return a, b, left, right


CASES = [
    # element, bytes of swizzled rows (lhs, rhs), k is slow (lhs, rhs), columns
    *(("f16", (row, row), (False, False), 24) for row in MODES),
    *(("f16", (row, row), (True, True), 64) for row in MODES),
    ("bf16", (128, 64), (False, True), 32),
    ("bf16", (32, 128), (True, False), 8),
    ("f16", (128, 128), (False, True), 256),
    ("f32", (128, 128), (False, False), 40),
    ("f32", (32, 64), (False, False), 16),
    ("i8", (128, 32), (False, False), 48),
    ("i8", (64, 16), (False, False), 8),
]


@pytest.mark.parametrize(("element", "rows", "transposed", "n"), CASES)
def test_instruction(element, rows, transposed, n):
    a, b, left, right = example(element, rows, transposed, n)
    body, arguments, shared = multiply(left, right, element, n)
    given = np.concatenate([left.stored(a), right.stored(b)]).view(np.int8)
    out = np.full((THREADS, n // 2), -1, np.int32 if element == "i8" else np.float32)
    run(body, arguments, [given, out], threads=THREADS, shared=shared, chip="sm_90a")
    assert (collected(out, n) == a.astype(np.float64) @ b.astype(np.float64).T).all()


#: Into the rhs, which all warps read.
OVERWRITES = f"""
    %one = arith.constant 1 : i8
    %at = arith.addi %t, %far : index
    memref.store %one, %shared[%at] : memref<10240xi8, {SHARED}>"""

FAULTS = {
    "wgmma.fence has not ordered": {"fence": ""},
    "a fence.proxy.async behind the write is missing": {"proxy": ""},
    "without a barrier between": {"barrier": ""},
    "may not be there": {"after": COMMIT},
    "still reads": {"after": COMMIT + OVERWRITES},
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults(message):
    _, _, left, right = example("f16", (128, 128), (False, False), 16)
    body, arguments, shared = multiply(left, right, "f16", 16, **FAULTS[message])
    size = np.zeros(shared, np.int8)
    text, _ = fault_of(
        body, arguments, [size, np.zeros((THREADS, 8), np.float32)], threads=THREADS, shared=shared, chip="sm_90a"
    )
    assert message in str(text)


def test_a_warpgroup_is_whole():
    _, _, left, right = example("f16", (128, 128), (False, False), 16)
    body, arguments, shared = multiply(left, right, "f16", 16)
    arrays = [np.zeros(shared, np.int8), np.zeros((THREADS, 8), np.float32)]
    text, _ = fault_of(body, arguments, arrays, threads=96, shared=shared, chip="sm_90a")
    assert "warpgroup of less than 128 threads" in str(text)
