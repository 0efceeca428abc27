"""``pith-share-loops``: parallel loops that are the same code become calls of one function."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

from pith._mlir import func, ir
from pith.passes.analysis.traversal import defining_op
from pith.passes.cloning import clone, substitute
from pith.passes.core import Pass

from .builder import APART

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class ShareLoopsPass(Pass):
    """Compile parallel loops once that differ in nothing but the values they take from around them.

    Before::

        scf.parallel (%i) = (%c0) to (%n) step (%c1) { ... %q ... }
        scf.parallel (%i) = (%c0) to (%n) step (%c1) { ... %k ... }

    After::

        func.func private @main_loop0(%n: index, %q: memref<?x384xf32>) { scf.parallel ... }
        func.call @main_loop0(%n, %q)
        func.call @main_loop0(%n, %k)

    Projections of queries, keys and values, and layers that follow each other, are such loops. Constants move into the
    function. A loop marked ``pith.apart`` becomes a function that is not inlined, though it occurs once: registers are
    allocated for it and for what is around it separately.

    Requires: memrefs. Preserves: loops with results, loops inside of parallel loops, loops that occur once.
    Cost: a look at the body of every parallel loop; a walk over those that look alike, which are printed where they
    also read the same values at the same places.
    """

    name: ClassVar[str] = "pith-share-loops"

    def run(self, module: ir.Module) -> None:
        for kind, find in (("loop", _twins), ("part", _parts)):
            for function in list(module.body.operations):
                if isinstance(function, func.FuncOp) and not function.is_external:
                    for number, twins in enumerate(find(function)):
                        _call_one(module, f"{function.sym_name.value}_{kind}{number}", twins)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """A parallel loop.

    Attributes:
        captured: what it takes from around it, in the order of its operands and those of the ops inside.
        uses: for each of these operands the number of the value, -1 for values of its own.
        kinds: per captured value the constant that it is, else its type.
    """

    op: ir.Operation
    captured: tuple[ir.Value, ...]
    uses: tuple[int, ...]
    kinds: tuple[ir.Attribute | ir.Type, ...]

    @classmethod
    def of(cls, loop: ir.Operation) -> _Loop:
        inner: set[ir.Value] = set()
        numbers: dict[ir.Value, int] = {}
        uses: list[int] = []

        def visit(op: ir.Operation) -> ir.WalkResult:
            uses.extend(-1 if v in inner else numbers.setdefault(v, len(numbers)) for v in op.operands)
            inner.update(op.results)
            inner.update(argument for region in op.regions for block in region for argument in block.arguments)
            return ir.WalkResult.ADVANCE

        loop.walk(visit, ir.WalkOrder.PRE_ORDER)
        kinds = tuple(v.type if (c := _constant(v)) is None else c.attributes["value"] for v in numbers)
        return cls(loop, tuple(numbers), tuple(uses), kinds)

    @property
    def key(self) -> tuple[object, ...]:
        """What twins have in common, but for their text."""
        return self.uses, self.kinds

    @property
    def text(self) -> str:
        """What it says, without the names of captured values: a copy outside of the function knows none."""
        copy = self.op.clone(ip=False)
        return copy.get_asm(use_local_scope=True, assume_verified=True)


def _constant(value: ir.Value) -> ir.Operation | None:
    return defining_op(value, "arith.constant")


def _twins(function: func.FuncOp) -> list[list[_Loop]]:
    """The parallel loops of a function that occur several times."""
    alike = _repeated(
        _outer(function.operation, "scf.parallel", lambda op: not op.results),
        lambda op: tuple(o.operation.name for o in op.regions[0].blocks[0]),
    )
    same = [group for ops in alike for group in _repeated(map(_Loop.of, ops), lambda loop: loop.key)]
    return [twins for group in same for twins in _repeated(group, lambda loop: loop.text)]


def _parts(function: func.FuncOp) -> list[list[_Loop]]:
    """The loops of a function that are to be functions themselves."""
    return [[_Loop.of(op)] for op in _outer(function.operation, "scf.for", lambda op: APART in op.attributes)]


def _repeated(members: Iterable[_T], key: Callable[[_T], object]) -> list[list[_T]]:
    """The members that have a key in common with others, those together."""
    groups: dict[object, list[_T]] = collections.defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return [group for group in groups.values() if len(group) > 1]


def _outer(root: ir.Operation, name: str, wanted: Callable[[ir.Operation], bool]) -> list[ir.Operation]:
    """The ops of a name that are wanted, but for those in others of the name that are."""
    found: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name != name or not wanted(op):
            return ir.WalkResult.ADVANCE
        found.append(op)
        return ir.WalkResult.SKIP

    root.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def _call_one(module: ir.Module, name: str, twins: list[_Loop]) -> None:
    """Move the first of ``twins`` into a function of its own, which is called in the place of each."""
    first = twins[0]
    passed = [i for i, value in enumerate(first.captured) if _constant(value) is None]
    with ir.InsertionPoint(module.body):
        made = func.FuncOp(name, ir.FunctionType.get([first.kinds[i] for i in passed], []), visibility="private")
    if APART in first.op.attributes:
        made.operation.attributes["passthrough"] = ir.ArrayAttr.get([ir.StringAttr.get("noinline")])
    name = ir.SymbolTable(module.operation).insert(made).value
    for loop in twins:
        with ir.InsertionPoint(loop.op), loop.op.location:
            func.CallOp([], name, [loop.captured[i] for i in passed])
    known: dict[ir.Value, ir.Value] = dict(zip((first.captured[i] for i in passed), made.add_entry_block().arguments))
    with ir.InsertionPoint(made.entry_block), first.op.location:
        clone([c for value in first.captured if (c := _constant(value)) is not None], known)
        end = func.ReturnOp([])
    first.op.move_before(end.operation)
    substitute(first.op, known)
    for loop in twins[1:]:
        loop.op.erase()
