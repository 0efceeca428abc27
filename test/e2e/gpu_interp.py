"""Execute ``gpu.func`` kernels on NumPy, warp by warp, to check their numbers without a GPU.

A warp's 32 lanes run in lockstep under a mask (SIMT); warps of a block run one after the other, in
random order, up to the next ``gpu.barrier``, so that a missing barrier shows. Shared memory starts as
NaN, every access is bounds-checked, a barrier or a warp-wide op under divergence is an error, and
``ldmatrix`` and ``mma.sync`` use the fragment layouts of the PTX ISA. Only the ops the lowering emits are
here; kernels are launched as their :class:`pith.programs.Program` says.
"""

import dataclasses

import numpy as np
from gpu_interp_ops import OPS, KernelFault, dtype_of, lanes
from pith.lowering.gpu import describe_program
from pith.runtime.signature import numpy_dtype

WARP = 32


@dataclasses.dataclass
class Block:
    """One IR block, compiled: slots of its arguments and its instructions."""

    arguments: list
    code: list
    results: list


@dataclasses.dataclass
class Thread:
    """The state of one warp."""

    slots: list
    ids: dict
    shared: np.ndarray
    everyone: np.ndarray
    copies: list = dataclasses.field(default_factory=list)
    groups: list = dataclasses.field(default_factory=list)


class Kernel:
    """A ``gpu.func``, compiled once: values get slots, ops become (handler, op data) pairs."""

    def __init__(self, function):
        self.slot = {}
        self.body = self._block(function.regions[0].blocks[0])

    def _number(self, value):
        return self.slot.setdefault(value, len(self.slot))

    def _block(self, block):
        arguments = [self._number(a) for a in block.arguments]
        *ops, last = block.operations
        code = [self._instruction(op.operation) for op in ops]
        return Block(arguments, code, [self._number(v) for v in last.operands])

    def _instruction(self, op):
        regions = [self._block(r.blocks[0]) if len(r.blocks) else None for r in op.regions]
        data = {
            "in": [self._number(v) for v in op.operands],
            "out": [self._number(v) for v in op.results],
            "types": [v.type for v in op.results],
            "regions": regions,
            "attrs": {a: op.attributes[a] for a in op.attributes},
        }
        if op.name in _CONTROL:
            return True, _CONTROL[op.name], data
        return False, OPS[op.name], data

    def warp(self, arguments, ids, shared):
        """A generator that runs one warp and yields at every barrier."""
        active = ids["thread"] < ids["threads"]
        state = Thread([None] * len(self.slot), ids, shared, active)
        for slot, value in zip(self.body.arguments, arguments):
            state.slots[slot] = value
        yield from _run(self.body, state, active)


def _run(block, state, mask):
    for control, handler, data in block.code:
        if control:
            yield from handler(data, state, mask)
        else:
            values = [state.slots[i] for i in data["in"]]
            result = handler(data, state, mask, *values)
            if len(data["out"]) > 1:
                for slot, value in zip(data["out"], result):
                    state.slots[slot] = value
            elif data["out"]:
                state.slots[data["out"][0]] = result


def _select(mask, new, old):
    if old is None:
        return new
    return np.where(mask.reshape(-1, *[1] * (np.ndim(new) - 1)), new, old)


def _for(data, state, mask):
    lo, hi, step = (state.slots[i] for i in data["in"][:3])
    carried = [state.slots[i] for i in data["in"][3:]]
    body, iv = data["regions"][0], np.array(lo)
    active = mask & (iv < hi)
    while active.any():
        for slot, value in zip(body.arguments, [iv, *carried]):
            state.slots[slot] = value
        yield from _run(body, state, active)
        carried = [_select(active, state.slots[i], old) for i, old in zip(body.results, carried)]
        iv = iv + step
        active = active & (iv < hi)
    for slot, value in zip(data["out"], carried):
        state.slots[slot] = value


def _if(data, state, mask):
    condition = state.slots[data["in"][0]]
    values = [None] * len(data["out"])
    for taken, branch in ((condition, data["regions"][0]), (~condition, data["regions"][1])):
        active = mask & taken
        if branch is not None and active.any():
            yield from _run(branch, state, active)
            values = [_select(active, state.slots[i], old) for i, old in zip(branch.results, values)]
    for slot, value, type_ in zip(data["out"], values, data["types"]):
        state.slots[slot] = lanes(np.zeros((), dtype_of(type_))) if value is None else value


def _barrier(data, state, mask):
    if (mask != state.everyone).any():
        raise KernelFault("gpu.barrier under divergence")
    yield


_CONTROL = {"scf.for": _for, "scf.if": _if, "gpu.barrier": _barrier}


def run_block(kernel, arguments, block_id, threads, shared_bytes, rng):
    """Run one block: warps in random order, each up to its next barrier."""
    shared = np.full(shared_bytes, 0xFF, np.uint8)
    block = {axis: lanes(np.int64(i)) for axis, i in zip("xyz", block_id)}
    warps = []
    for first in range(0, threads, WARP):
        ids = {"thread": np.arange(first, first + WARP), "threads": threads, "block": block}
        warps.append(kernel.warp(arguments, ids, shared))
    while warps:
        waiting = [w for w in rng.permutation(np.array(warps, dtype=object)) if _advance(w)]
        if waiting and len(waiting) != len(warps):
            raise KernelFault("some warps of a block wait at a barrier that others never reach")
        warps = waiting


def _advance(warp):
    return next(warp, warp) is None


def run_module(module, arguments, seed=0):
    """Run every launch of ``module`` on ``arguments`` (NumPy arrays and numbers, in host order); the results."""
    rng = np.random.default_rng(seed)
    kernels = {
        function.operation.attributes["sym_name"].value: Kernel(function)
        for holder in module.body.operations
        if holder.operation.name == "gpu.module"
        for function in holder.regions[0].blocks[0].operations
    }
    program = describe_program(module)
    facts = program.shapes([a.shape if a.ndim else int(a) for a in map(np.asarray, arguments)])
    buffers = [poisoned(facts[len(arguments) + i], b.dtype) for i, b in enumerate(program.buffers)]
    operands = [*arguments, *buffers]
    for launch in program.launches:
        grid = [e.evaluate(facts) for e in launch.grid]
        given = [operands[x] if isinstance(x, int) else np.int64(x.evaluate(facts)) for x in launch.operands]
        for block_id in np.ndindex(*grid):
            threads = int(np.prod(launch.block))
            run_block(kernels[launch.kernel], given, block_id, threads, launch.shared_bytes, rng)
    return [operands[i] for i in program.results]


def poisoned(shape, dtype):
    """A buffer nobody has written to yet."""
    out = np.empty(shape, numpy_dtype(dtype))
    out.view(np.uint8)[...] = 0xFF
    return out
