"""One signature of a program on one device: results, temporaries, launches."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...programs import Program
from ...programs.sizes import Fact
from . import streams
from .allocate import maker
from .arguments import Bound
from .elements import word_of
from .hardware import leave
from .memory import DeviceArray, allocate, free
from .plan import Layout, Temporaries

if TYPE_CHECKING:
    from .program import Loaded


class Plan:
    """What a call with one signature does, worked out once.

    Args:
        program: the program.
        loaded: it on the device of the arguments.
        framework: whose arrays results shall be: ``torch``, ``cupy`` or ``pith``.
        free: the operands the caller gives, checked, in the order of their words.
        owners: operand -> number of the argument it comes from.

    Attributes:
        device: where it runs.
        bound: the operands the caller gave when the plan was made.
        gradients: some of them require a gradient.
        current_stream: says on which stream the framework works.
    """

    def __init__(
        self,
        program: Program,
        loaded: Loaded,
        framework: str,
        free: Mapping[int, Bound],
        owners: Mapping[int, int],
    ):
        self.device, self.framework = loaded.device, framework
        self.bound = tuple(map(Bound.without_owner, free.values()))  # plans outlive arguments
        self.gradients = any(b.seen is not None and b.seen.needs_gradient for b in self.bound)
        given: dict[int, Bound] = {**free, **loaded.bound}
        facts = program.shapes([_fact(given[n]) for n in range(len(program.arguments))])
        first = len(program.arguments)
        made = [n for n in range(first, len(facts)) if n in program.results]
        self.temporaries = Temporaries.of(program, facts)
        self._offsets = tuple(self.temporaries.offsets.values())
        varying = [*free, *made, *self.temporaries.offsets]
        fixed = {n: _word(b) for n, b in loaded.bound.items()}
        self.layout = Layout(program, facts, loaded.module, varying, fixed)
        self.current_stream = streams.current(framework, self.device.ordinal)
        self._makers = [maker(framework, self.device, tuple(facts[n]), program.operands[n].dtype) for n in made]  # type: ignore[arg-type]
        places = [made.index(n) if n in made else len(made) + owners[n] for n in program.results]
        self._pick = operator.itemgetter(*places) if places else _nothing
        foreign = {b.seen.stream for b in given.values() if b.seen is not None and b.seen.stream is not None}
        self._producers = tuple(sorted(foreign))
        self._written = tuple({owners[n] for n, b in free.items() if b.operand.written})

    def run(self, words: list[int], args: Sequence[Any], stream: int) -> Any:
        """Allocate results and temporaries, start every kernel on ``stream``, and return the results.

        Temporaries are freed in the order of the stream, also when a launch is refused.
        """
        previous = self.device.enter()
        made: list[Any] = []
        try:
            if self._producers:
                self.wait_for_producers(stream)
            if self._makers:
                self.make_results(words, made, stream)
            if self.temporaries.nbytes:
                self._launch_with_temporaries(words, stream)
            else:
                self.layout.launch(words, stream)
        except BaseException:
            made.clear()  # else the error's traceback would keep them
            raise
        finally:
            if previous is not None:
                leave(previous)
        for i in self._written:
            if type(array := args[i]) is DeviceArray:
                array.stream = stream
        return self.returned(made, args)

    def written(self, args: Sequence[Any]) -> list[Any]:
        """The arguments that kernels write to."""
        return [args[i] for i in self._written]

    def wait_for_producers(self, stream: int) -> None:
        """Let ``stream`` wait for the streams that the arguments come from."""
        for producer in self._producers:
            streams.wait(stream, producer)

    def make_results(self, words: list[int], made: list[Any], stream: int) -> None:
        """New arrays for the results go to ``made``, their addresses to ``words``."""
        for make in self._makers:
            address, array = make(stream)
            words.append(address)
            made.append(array)

    def place_temporaries(self, words: list[int], base: int) -> None:
        """Add the addresses of the temporaries, given that of the memory they share."""
        words.extend([base + offset for offset in self._offsets])

    def returned(self, made: Sequence[Any], args: Sequence[Any]) -> Any:
        """What the call returns: one result, a tuple of several, None without any."""
        return self._pick((*made, *args))

    def _launch_with_temporaries(self, words: list[int], stream: int) -> None:
        handle = streams.as_object(stream)
        address = allocate(self.device, self.temporaries.nbytes, handle)
        try:
            self.place_temporaries(words, address)
            self.layout.launch(words, stream)
        finally:
            free(self.device, address, handle)


def _nothing(arrays: Sequence[Any]) -> None:
    """What a program without results returns."""


def _fact(bound: Bound) -> Fact:
    """The shape of an array, the value of a number that sizes may depend on."""
    if bound.seen is not None:
        return bound.seen.shape
    return int(bound.number) if not bound.operand.dtype.startswith(("f", "bf")) else 0


def _word(bound: Bound) -> int:
    return bound.seen.address if bound.seen is not None else word_of(bound.operand.dtype, bound.number)
