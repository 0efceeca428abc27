"""The ops of :mod:`gpu_interp`: each handler sees all lanes of a warp and the mask of active ones.

``handler(data, state, mask, *operands)`` returns the result. Scalars are arrays of 32 lanes, vectors have
the lanes first, memrefs are NumPy arrays that all lanes share.
"""

import operator

import numpy as np
from pith._mlir import ir
from pith.dialect import shape_of

WARP = 32
_DTYPES = {"f64": "f8", "f32": "f4", "f16": "f2", "i1": "?", "i8": "i1", "i32": "i4", "i64": "i8", "index": "i8"}
_COMPARE = {0: operator.eq, 1: operator.ne, 2: operator.lt, 6: operator.lt}
_UNSIGNED = (6,)


class KernelFault(AssertionError):
    """A kernel did what hardware would not survive or define."""


def dtype_of(type_):
    """NumPy dtype of a scalar IR type."""
    return np.dtype(_DTYPES[str(type_)])


def lanes(value):
    return np.broadcast_to(np.asarray(value), (WARP, *np.shape(value)))


def _where(memory, mask, indices):
    at = tuple(np.asarray(i)[mask] for i in indices)
    for d, i in enumerate(at):
        if ((i < 0) | (i >= memory.shape[d])).any():
            raise KernelFault(
                f"access to {sorted(set(i))} outside of dimension {d} of a memref of shape {memory.shape}"
            )
    return at


def _load(data, state, mask, memory, *indices):
    out = np.zeros(WARP, memory.dtype)
    out[mask] = memory[_where(memory, mask, indices)]
    return out


def _store(data, state, mask, value, memory, *indices):
    memory[_where(memory, mask, indices)] = value[mask]


def _atomic(data, state, mask, value, memory, *indices):
    np.add.at(memory, _where(memory, mask, indices), value[mask])


def _constant(data, state, mask):
    type_, value = data["types"][0], data["attrs"]["value"]
    if isinstance(type_, ir.VectorType):
        splat = ir.DenseElementsAttr(value).get_splat_value()
        return lanes(np.full(shape_of(type_), ir.FloatAttr(splat).value, dtype_of(type_.element_type)))
    return lanes(np.asarray(value.value, dtype_of(type_)))


def _view(data, state, mask, memory, offset, *_):
    type_ = data["types"][0]
    shape, dtype = shape_of(type_), dtype_of(type_.element_type)
    first, size = int(offset[0]), int(np.prod(shape)) * dtype.itemsize
    if first % 16 or first + size > memory.size:
        raise KernelFault(f"view of bytes {first}..{first + size} of {memory.size}, or not 16-byte aligned")
    return memory[first : first + size].view(dtype).reshape(shape)


def _unsigned(operation):
    def run(data, state, mask, a, b):
        u = f"u{a.dtype.itemsize}"
        safe = np.where(mask, b.view(u) if b.flags.contiguous else np.array(b).view(u), 1)
        return operation(np.array(a).view(u), safe).astype(a.dtype)

    return run


def _compare(data, state, mask, a, b):
    predicate = ir.IntegerAttr(data["attrs"]["predicate"]).value
    if predicate in _UNSIGNED:
        a, b = (np.array(v).view(f"u{v.dtype.itemsize}") for v in (a, b))
    return _COMPARE[predicate](a, b)


def _zero_extend(data, state, mask, a):
    return np.array(a).view(f"u{a.dtype.itemsize}").astype(dtype_of(data["types"][0]))


def _float_cast(data, state, mask, a):
    return a.astype(dtype_of(data["types"][0]))


def _fma(data, state, mask, a, b, c):
    return (a.astype("f8") * b + c).astype(a.dtype)


def _full_warp(state, mask):
    if not mask.all():
        raise KernelFault("a warp-wide op under divergence")


def _ldmatrix(data, state, mask, memory, row, column):
    _full_warp(state, mask)
    count = ir.IntegerAttr(data["attrs"]["numTiles"]).value
    transpose = ir.BoolAttr(data["attrs"]["transpose"]).value
    lane = np.arange(WARP)
    out = np.empty((WARP, count, 2), memory.dtype)
    for q in range(count):
        rows = slice(8 * q, 8 * q + 8)
        at = (row[rows, None], column[rows, None] + np.arange(8))
        if ((row[rows] * memory.shape[1] + column[rows]) * memory.itemsize % 16).any():
            raise KernelFault("ldmatrix row is not 16-byte aligned")
        _where(memory, np.ones((8, 8), bool), [np.broadcast_to(i, (8, 8)) for i in at])
        matrix = memory[at].T if transpose else memory[at]
        out[:, q] = matrix[lane[:, None] // 4, 2 * (lane[:, None] % 4) + np.arange(2)]
    return out


def _mma_sync(data, state, mask, a, b, c):
    _full_warp(state, mask)
    g, t, j = np.arange(WARP)[:, None, None] // 4, np.arange(WARP)[:, None, None] % 4, np.arange(2)
    i4, i2 = np.arange(4)[:, None], np.arange(2)[:, None]
    left, right, held = np.empty((16, 16)), np.empty((16, 8)), np.empty((16, 8))
    left[g + 8 * (i4 % 2), 2 * t + 8 * (i4 // 2) + j] = a
    right[2 * t + 8 * i2 + j, g] = b
    held[g + 8 * i2, 2 * t + j] = c
    return (left @ right + held).astype("f4")[g + 8 * i2, 2 * t + j]


def _identity(name):
    def run(data, state, mask):
        dimension = str(data["attrs"]["dimension"])[-2]
        return state.ids[name][dimension] if name == "block" else state.ids["thread"]

    return run


OPS = {
    "arith.constant": _constant,
    "arith.addi": lambda d, s, m, a, b: a + b,
    "arith.subi": lambda d, s, m, a, b: a - b,
    "arith.muli": lambda d, s, m, a, b: a * b,
    "arith.andi": lambda d, s, m, a, b: a & b,
    "arith.addf": lambda d, s, m, a, b: a + b,
    "arith.minui": _unsigned(np.minimum),
    "arith.divui": _unsigned(operator.floordiv),
    "arith.ceildivui": _unsigned(lambda a, b: (a + b - 1) // b),
    "arith.remui": _unsigned(operator.mod),
    "arith.shrui": lambda d, s, m, a, b: a >> b,
    "arith.cmpi": _compare,
    "arith.select": lambda d, s, m, c, a, b: np.where(c, a, b),
    "arith.index_castui": _zero_extend,
    "arith.extf": _float_cast,
    "arith.truncf": _float_cast,
    "math.fma": _fma,
    "vector.extract": lambda d, s, m, v: v[(slice(None), *ir.DenseI64ArrayAttr(d["attrs"]["static_position"]))],
    "memref.load": _load,
    "memref.store": _store,
    "memref.atomic_rmw": _atomic,
    "memref.dim": lambda d, s, m, memory, i: lanes(np.int64(memory.shape[int(i[0])])),
    "memref.view": _view,
    "memref.collapse_shape": lambda d, s, m, memory: memory.reshape(-1),
    "gpu.dynamic_shared_memory": lambda d, s, m: s.shared,
    "gpu.thread_id": _identity("thread"),
    "gpu.block_id": _identity("block"),
    "nvgpu.ldmatrix": _ldmatrix,
    "nvgpu.mma.sync": _mma_sync,
}
