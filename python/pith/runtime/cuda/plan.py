"""Launch parameters of a program for one signature, packed once: a call only stores addresses and launches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import GpuLaunchError
from ...programs import Launch, Program, TensorMap
from ...programs.sizes import Fact
from ..arrays import row_major_strides
from .elements import size_of
from .frame import Frame
from .tensor_maps import Encoding

#: Largest grids per dimension (CUDA C++ Programming Guide, technical specifications).
MAX_GRID = (2**31 - 1, 65535, 65535)

#: Temporaries start at multiples of this: what cuMemAlloc guarantees.
_ALIGNMENT = 256


@dataclasses.dataclass(frozen=True)
class Temporaries:
    """Where the temporaries of a program lie in one allocation.

    Attributes:
        offsets: number of the operand -> where it begins.
        nbytes: size of the allocation.
    """

    offsets: dict[int, int]
    nbytes: int

    @classmethod
    def of(cls, program: Program, facts: Sequence[Fact]) -> Temporaries:
        """Place every temporary beside those that are in use at the same time, at the first place it fits."""
        first = len(program.arguments)
        lives = _lifetimes(program)
        placed: list[tuple[int, int, int]] = []  # operand, begin, end
        for number in sorted(lives, key=lambda n: lives[n]):
            nbytes = math.prod(facts[number]) * size_of(program.buffers[number - first].dtype)  # type: ignore[arg-type]
            nbytes = -(-nbytes // _ALIGNMENT) * _ALIGNMENT
            begin = 0
            for other, low, high in sorted(placed, key=lambda p: p[1]):
                if _overlap(lives[number], lives[other]) and begin < high and low < begin + nbytes:
                    begin = high
            placed.append((number, begin, begin + nbytes))
        return cls({n: b for n, b, _ in placed}, max((end for _, _, end in placed), default=0))


def _lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """First and last launch that uses each temporary."""
    lives: dict[int, tuple[int, int]] = {}
    for i, launch in enumerate(program.launches):
        for held in launch.operands:
            operand = held.operand if isinstance(held, TensorMap) else held
            if isinstance(operand, int) and operand >= len(program.arguments) and operand not in program.results:
                lives[operand] = (lives.get(operand, (i, i))[0], i)
    return lives


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One launch of a plan.

    Attributes:
        function: the driver's handle of the kernel.
        grid, block, shared_bytes: of the launch.
        slots: which word each kernel parameter is read from; ``~i`` for descriptor ``i``.
        text: what an error says about it.
    """

    function: Any
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    slots: tuple[int, ...]
    text: str


class Layout:
    """Words and launches of one signature.

    The words are: one per operand that differs from call to call (an address, or a number), then constants: those of
    the descriptors, and the words of operands that stay. Kernel parameters are read from words where they stand, so
    an array's two pointers, in every launch that takes it, are one word; a call stores one word per operand that
    differs and nothing else. Descriptors of tensor maps are made again where the address of their array has changed.

    Args:
        facts: shapes and numbers of all operands.
        module: the loaded kernels.
        varying: the operands whose words a call gives, in that order.
        fixed: words of the others.

    Errors: :class:`pith.GpuLaunchError` for a grid beyond the limits, or more shared memory than there is.
    """

    def __init__(
        self,
        program: Program,
        facts: Sequence[Fact],
        module: Any,
        varying: Sequence[int],
        fixed: Mapping[int, int],
    ):
        self.program, self.facts = program, facts
        self._varying = {operand: i for i, operand in enumerate(varying)}
        self._fixed = fixed
        self._constants: dict[int, int] = {}
        self._maps: dict[TensorMap, int] = {}
        self.launches = tuple(
            made for launch in program.launches if (made := self._prepare(launch, module)) is not None
        )
        self.constants = list(self._constants)
        self.varying_count = len(self._varying)
        self.maps = tuple(Encoding.of(m, program, facts, self._word(m.operand)) for m in self._maps)
        self._free: list[Frame] = []

    def _prepare(self, launch: Launch, module: Any) -> Prepared | None:
        """None for a launch that has nothing to do."""
        grid = tuple(size.evaluate(self.facts) for size in launch.grid)
        text = f"{launch.kernel}, grid {grid}, block {launch.block}, {launch.shared_bytes} bytes of shared memory"
        if 0 in grid:
            return None
        if any(size > limit for size, limit in zip(grid, MAX_GRID)):
            raise GpuLaunchError(
                f"the grid is larger than {MAX_GRID}",
                where=text,
                hint="split the arguments and call the kernel on parts",
            )
        slots = tuple(slot for operand in launch.operands for slot in self._slots(operand))
        function = module.function(launch.kernel, launch.shared_bytes)
        return Prepared(function, grid, launch.block, launch.shared_bytes, slots, text)  # type: ignore[arg-type]

    def _slots(self, operand: Any) -> list[int]:
        """The words of one kernel operand: of an array both pointers, offset, sizes and strides."""
        if isinstance(operand, TensorMap):
            self._word(operand.operand)
            return [~self._maps.setdefault(operand, len(self._maps))]
        if not isinstance(operand, int):
            return [self._constant(operand.evaluate(self.facts))]
        word = self._word(operand)
        fact = self.facts[operand]
        if isinstance(fact, int):
            return [word]
        shape = tuple(fact)
        return [word, word, *map(self._constant, (0, *shape, *row_major_strides(shape)))]

    def _word(self, operand: int) -> int:
        return self._varying[operand] if operand in self._varying else self._constant(self._fixed[operand])

    def _constant(self, value: int) -> int:
        return len(self._varying) + self._constants.setdefault(value, len(self._constants))

    def launch(self, words: Sequence[int], stream: int) -> None:
        """Store the operands' words and start every kernel on ``stream``.

        Errors: those of :meth:`.frame.Frame.launch`.
        """
        try:
            frame = self._free.pop()
        except IndexError:  # one for every thread that is in here at once
            frame = Frame(self)
        try:
            frame.launch(words, stream)
        finally:
            self._free.append(frame)  # the driver copies parameters before it returns
