"""Reductions along any loops of a linalg op, in a fixed order: results are the same bit by bit in every run.

Threads of a block are ``outputs x parts``: each output is shared by several threads, which each reduce every
``parts``-th point and then combine what they have::

    for i in range(part, points, parts):  acc = body(in[point i], acc)      acc starts neutral
    combine the parts                     shuffles in a warp, then shared memory between warps
    out = combine(start, acc)             start: what the init holds, or the constant it was filled with

Where the input is contiguous along the reduction, the parts of an output are neighbouring threads (a warp, or the
whole block where there are few outputs); where it is contiguous along the outputs, the outputs are. A body that
combines in no way known runs in order, one thread per output.
"""

import dataclasses

from pith._mlir import arith, gpu, ir, memref
from pith.dialect.tiling import PARALLEL, REDUCTION

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..outputs import constant_of, destination, start_value
from ..product.tiles import shared_space
from ..warp import WARP, reduce_warp
from .combiners import Combiner, combiners_of
from .kernel_values import Arguments
from .loops import Nest, evaluate, split_index

THREADS = 256

#: Points of one output from which a block shares it rather than a warp: 8 per thread. Not measured yet.
LONG = 2048


@dataclasses.dataclass(frozen=True)
class Split:
    """How the threads of a block share outputs.

    Attributes:
        outputs: of a block.
        side_by_side: True when the parts of an output are neighbouring threads, False when outputs are.
    """

    outputs: int
    side_by_side: bool

    @property
    def parts(self) -> int:
        """Threads per output."""
        return THREADS // self.outputs

    @property
    def warps(self) -> int:
        """Partial results per output once neighbours have combined theirs."""
        return max(1, self.parts // WARP) if self.side_by_side else self.parts

    @classmethod
    def of(cls, nest: Nest, sizes: list[Index], combiners: list[Combiner] | None) -> "Split":
        """The split for loops of these extents."""
        if combiners is None:
            return cls(THREADS, False)
        walked = [nest.last_loop(i) for i in range(len(nest.inputs))]
        if any(g is not None and nest.kind(g) == PARALLEL for g in walked):
            return cls(WARP, False)
        outputs = b.product([s for g, s in enumerate(sizes) if nest.kind(g) == PARALLEL])
        points = b.product([s for g, s in enumerate(sizes) if nest.kind(g) == REDUCTION])
        few = isinstance(outputs, int) and outputs < WARP
        long = isinstance(points, int) and points >= LONG
        return cls(1 if few or long else THREADS // WARP, True)


def convert_reduction(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of an op with reductions, and its launch."""
    nest = Nest.of(op)
    combiners = combiners_of(nest)
    outs = [
        host.init_buffer(op, init) if constant_of(init) is None else destination(host, op, init) for init in nest.inits
    ]
    arguments = Arguments.of(host, nest, outs)
    sizes = nest.sizes(arguments.buffers)
    split = Split.of(nest, sizes, combiners)
    with host.kernel("reduce", arguments.types, THREADS) as (name, block):
        _Emitter(nest, arguments.inside(block), split, combiners).emit()
    outputs = b.product([s for g, s in enumerate(sizes) if nest.kind(g) == PARALLEL])
    widths = [max(8, b.bits_of(v.type.element_type)) // 8 for v in outs]
    shared = sum(widths) * THREADS if combiners and split.warps > 1 else 0
    host.launch(op, name, [b.ceildiv(outputs, split.outputs)], THREADS, shared, arguments.values)
    for result, out in zip(op.results, outs):
        host.bind(result, [out])


@dataclasses.dataclass(frozen=True)
class _Emitter:
    """Emits the kernel of one reduction."""

    nest: Nest
    arguments: Arguments
    split: Split
    combiners: list[Combiner] | None

    def emit(self) -> None:
        """The whole kernel."""
        nest, split = self.nest, self.split
        sizes = nest.sizes(self.arguments.buffers)
        outer = [g for g in range(len(sizes)) if nest.kind(g) == PARALLEL]
        thread = gpu.thread_id(gpu.Dimension.x)
        by = split.parts if split.side_by_side else split.outputs
        slow, fast = b.div(thread, by), b.mod(thread, by)
        slot, part = (slow, fast) if split.side_by_side else (fast, slow)
        output = b.add(b.mul(gpu.block_id(gpu.Dimension.x), split.outputs), slot)
        exists = b.less(output, b.product([sizes[g] for g in outer]))
        point: list[Index] = [0] * len(sizes)
        for g, i in zip(outer, split_index(output, [sizes[g] for g in outer])):
            point[g] = i
        if self.combiners is None:
            b.if_else(exists, lambda: self._store(point, self._in_order(point, sizes)))
            return
        parts = self._part(point, sizes, part, exists)
        parts = self._combine(parts, slot, part, thread)
        mine = exists if split.parts == 1 else arith.andi(exists, b.less(part, 1))
        b.if_else(mine, lambda: self._store(point, self._finish(point, parts)))

    def _views(self) -> list[ir.Value | None]:
        return [self.arguments.view(i) for i in range(len(self.nest.operands))]

    def _loop(
        self, point: list[Index], sizes: list[Index], first: Index, end: Index, step: int, carried: list[ir.Value]
    ) -> list[ir.Value]:
        """The body over points ``first, first + step, ...`` of the reduction."""
        inner = [g for g in range(len(sizes)) if self.nest.kind(g) == REDUCTION]
        views, inputs = self._views(), range(len(self.nest.inputs))

        def body(i: Index, *acc: ir.Value) -> list[ir.Value]:
            here = list(point)
            for g, at in zip(inner, split_index(i, [sizes[g] for g in inner])):
                here[g] = at
            given = [self.arguments.element(k, views[k], here) if self.nest.reads(k) else None for k in inputs]
            return evaluate(self.nest, [*given, *acc], here, self.arguments.outside)

        return b.for_loop(first, end, body, carried, step=step)

    def _points(self, sizes: list[Index]) -> Index:
        return b.product([s for g, s in enumerate(sizes) if self.nest.kind(g) == REDUCTION])

    def _in_order(self, point: list[Index], sizes: list[Index]) -> list[ir.Value]:
        return self._loop(point, sizes, 0, self._points(sizes), 1, self._start(point))

    def _start(self, point: list[Index]) -> list[ir.Value]:
        first, views = len(self.nest.inputs), self._views()
        return [
            start_value(constant_of(init), views[first + i], self.nest.access(first + i).at(point))
            for i, init in enumerate(self.nest.inits)
        ]

    def _part(self, point: list[Index], sizes: list[Index], part: Index, exists: ir.Value) -> list[ir.Value]:
        """This thread's share; threads without an output have no points, but take part in what follows."""
        types = [v.type.element_type for v in self.nest.inits]
        neutral = [c.neutral(t) for c, t in zip(self.combiners or (), types)]
        points = self._points(sizes)

        def share() -> list[ir.Value]:
            return self._loop(point, sizes, part, points, self.split.parts, neutral)

        return b.if_else(exists, share, lambda: neutral, types)

    def _combine(self, parts: list[ir.Value], slot: Index, part: Index, thread: Index) -> list[ir.Value]:
        """The parts of every output together, in the thread of part 0."""
        split, combiners = self.split, self.combiners or []
        if split.side_by_side:
            lanes = min(WARP, split.parts)
            parts = [reduce_warp(v, c.combine, lanes) for v, c in zip(parts, combiners)]
        if split.warps == 1:
            return parts
        buffers = _shared_lines([v.type for v in parts])
        for v, buffer in zip(parts, buffers):
            memref.store(v, buffer, [thread])
        gpu.barrier()
        stride = WARP if split.side_by_side else split.outputs
        first = b.sub(thread, b.mul(part, 1 if split.side_by_side else split.outputs))
        out = []
        for c, buffer in zip(combiners, buffers):
            total = memref.load(buffer, [b.value(first)])
            for number in range(1, split.warps):
                total = c.combine(total, memref.load(buffer, [b.value(b.add(first, number * stride))]))
            out.append(total)
        return out

    def _finish(self, point: list[Index], parts: list[ir.Value]) -> list[ir.Value]:
        return [c.combine(s, v) for c, s, v in zip(self.combiners or (), self._start(point), parts)]

    def _store(self, point: list[Index], values: list[ir.Value]) -> None:
        first, views = len(self.nest.inputs), self._views()
        for i, value in enumerate(values):
            memref.store(value, views[first + i], self.nest.access(first + i).at(point))


def _shared_lines(types: list[ir.Type]) -> list[ir.Value]:
    """One element per thread and type in shared memory."""
    i8 = ir.IntegerType.get_signless(8)
    space = shared_space()
    whole = gpu.dynamic_shared_memory(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i8, memory_space=space))
    lines, offset = [], 0
    for type_ in types:
        lines.append(memref.view(ir.MemRefType.get([THREADS], type_, memory_space=space), whole, b.value(offset), []))
        offset += THREADS * max(8, b.bits_of(type_)) // 8
    return lines
