"""The ops of :mod:`gpu_interp`: each handler sees all lanes of a warp and the mask of active ones.

``handler(data, state, mask, *operands)`` returns the result. Scalars are arrays of 32 lanes, vectors have
the lanes first, memrefs are NumPy arrays that all lanes share.
"""

import operator

import numpy as np
from pith._mlir import ir
from pith.dialect import shape_of

WARP = 32
_DTYPES = {
    "f64": "f8",
    "f32": "f4",
    "f16": "f2",
    "bf16": "bfloat16",
    "i1": "?",
    "i8": "i1",
    "i32": "i4",
    "i64": "i8",
    "index": "i8",
}
_ORDER = (operator.lt, operator.le, operator.gt, operator.ge)
_COMPARE = dict(enumerate((operator.eq, operator.ne, *_ORDER, *_ORDER)))
_UNSIGNED = (6, 7, 8, 9)


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


def _vector_load(data, state, mask, memory, *indices):
    width = shape_of(data["types"][0])[0]
    out = np.zeros((WARP, width), memory.dtype)
    for e in range(width):
        at = _where(memory, mask, [*indices[:-1], np.asarray(indices[-1]) + e])
        out[mask, e] = memory[at]
    _check_alignment(data, memory, mask, indices)
    return out


def _vector_store(data, state, mask, value, memory, *indices):
    for e in range(value.shape[1]):
        memory[_where(memory, mask, [*indices[:-1], np.asarray(indices[-1]) + e])] = value[mask, e]
    _check_alignment(data, memory, mask, indices)


def _check_alignment(data, memory, mask, indices):
    if "alignment" in data["attrs"]:
        strides = [s // memory.itemsize for s in memory.strides]
        first = sum(np.asarray(i)[mask] * s for i, s in zip(indices, strides)) * memory.itemsize
        if (first % ir.IntegerAttr(data["attrs"]["alignment"]).value).any():
            raise KernelFault("a vector access that is not aligned as it says")


def _async_copy(data, state, mask, *operands):
    """Read when it is issued, written when the group it belongs to is waited for."""
    sizes = [int(n) for n in str(data["attrs"]["operandSegmentSizes"]).split(":")[1].rstrip(">").split(",")]
    parts, rest = [], list(operands)
    for n in sizes:
        parts.append(rest[:n])
        rest = rest[n:]
    (target,), to, (source,), at, present = parts
    width = ir.IntegerAttr(data["attrs"]["dstElements"]).value
    there = np.full(WARP, width) if not present else np.asarray(present[0])
    values = np.zeros((WARP, width), source.dtype)
    for e in range(width):
        read = mask & (e < there)
        values[read, e] = source[_where(source, read, [*at[:-1], np.asarray(at[-1]) + e])]
    if width * source.itemsize not in (4, 8, 16):
        raise KernelFault(f"an asynchronous copy of {width * source.itemsize} bytes")
    _check_copy(source, mask & (there > 0), at, width)
    _check_copy(target, mask, to, width)

    def land():
        for e in range(width):
            target[_where(target, mask, [*to[:-1], np.asarray(to[-1]) + e])] = values[mask, e]

    state.copies.append(land)


def _check_copy(memory, mask, indices, width):
    strides = [s // memory.itemsize for s in memory.strides]
    first = sum(np.asarray(i)[mask] * s for i, s in zip(indices, strides))
    if (first % width).any():
        raise KernelFault("an asynchronous copy that is not aligned")


def _create_group(data, state, mask, *tokens):
    state.groups.append(list(state.copies))
    state.copies.clear()


def _wait(data, state, mask, token):
    keep = ir.IntegerAttr(data["attrs"]["numGroups"]).value
    while len(state.groups) > keep:
        for land in state.groups.pop(0):
            land()


def _insert(data, state, mask, value, vector):
    out = np.array(vector)
    out[(slice(None), *ir.DenseI64ArrayAttr(data["attrs"]["static_position"]))] = value
    return out


def _from_elements(data, state, mask, *values):
    return np.stack(values, axis=1).reshape(WARP, *shape_of(data["types"][0]))


def _broadcast(data, state, mask, value):
    return np.array(
        np.broadcast_to(
            np.asarray(value).reshape(WARP, *[1] * len(shape_of(data["types"][0]))), (WARP, *shape_of(data["types"][0]))
        )
    )


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


def _ldmatrix(data, state, mask, memory, *indices):
    _full_warp(state, mask)
    memory = memory[tuple(int(np.asarray(i)[0]) for i in indices[:-2])]
    row, column = (np.asarray(i) for i in indices[-2:])
    count = ir.IntegerAttr(data["attrs"]["numTiles"]).value
    transpose = ir.BoolAttr(data["attrs"]["transpose"]).value
    lane, width = np.arange(WARP), 16 // memory.itemsize
    out = np.empty((WARP, count, 4 // memory.itemsize), memory.dtype)
    for q in range(count):
        rows = slice(8 * q, 8 * q + 8)
        at = (row[rows, None], column[rows, None] + np.arange(width))
        if ((row[rows] * memory.shape[1] + column[rows]) * memory.itemsize % 16).any():
            raise KernelFault("ldmatrix row is not 16-byte aligned")
        _where(memory, np.ones((8, width), bool), [np.broadcast_to(i, (8, width)) for i in at])
        matrix = memory[at].T if transpose else memory[at]
        out[:, q] = matrix[lane[:, None] // 4, width // 4 * (lane[:, None] % 4) + np.arange(width // 4)]
    return out


def _mma_sync(data, state, mask, a, b, c):
    """Registers of 4 bytes each: 16 x 32 bytes of lhs, 8 x 32 bytes of rhs."""
    _full_warp(state, mask)
    each = a.shape[2]
    g, t, j = np.arange(WARP)[:, None, None] // 4, np.arange(WARP)[:, None, None] % 4, np.arange(each)
    i4, i2, j2 = np.arange(4)[:, None], np.arange(2)[:, None], np.arange(2)
    left, right, held = np.empty((16, 8 * each)), np.empty((8 * each, 8)), np.empty((16, 8))
    left[g + 8 * (i4 % 2), each * t + 4 * each * (i4 // 2) + j] = a
    right[each * t + 4 * each * i2 + j, g] = b
    held[g + 8 * i2, 2 * t + j2] = c
    return (left @ right + held).astype(c.dtype)[g + 8 * i2, 2 * t + j2]


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
    "arith.xori": lambda d, s, m, a, b: a ^ b,
    "arith.maxui": _unsigned(np.maximum),
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
    "vector.load": _vector_load,
    "vector.store": _vector_store,
    "vector.insert": _insert,
    "vector.from_elements": _from_elements,
    "vector.to_elements": lambda d, s, m, v: list(np.moveaxis(v.reshape(WARP, -1), 1, 0)),
    "vector.broadcast": _broadcast,
    "nvgpu.device_async_copy": _async_copy,
    "nvgpu.device_async_create_group": _create_group,
    "nvgpu.device_async_wait": _wait,
    "nvgpu.ldmatrix": _ldmatrix,
    "nvgpu.mma.sync": _mma_sync,
}
