"""Calling GPU programs with host arrays, where an emulator takes the place of the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..programs import Program
from ..runtime import MemRefSpec
from ..runtime.arrays import as_array, conform, is_torch
from ..runtime.cuda.resident import pattern_list
from ..sparse import SparseTensor
from .kernel import as_torch
from .params import Param

#: Runs a program on NumPy arrays and numbers, one per argument; returns its results.
HostRun = Callable[[Program, Sequence[Any]], Sequence[np.ndarray]]


class HostProgram:
    """A program called like a CPU kernel: NumPy arrays and torch tensors on the CPU in, the same out.

    Args:
        program: operands, buffers and launches.
        params: what the caller passes, in order.
        run: the emulator.
        bound: values of parameters the caller does not pass, by position.
        check: raises for arguments whose sizes do not go together.
    """

    def __init__(
        self,
        program: Program,
        params: Sequence[Param],
        run: HostRun,
        bound: Mapping[int, Any] | None = None,
        check: Callable[[Sequence[Any]], None] | None = None,
    ):
        self.program, self.params, self.bound = program, tuple(params), dict(bound or {})
        self._run, self._check = run, check

    def __call__(self, args: Sequence[Any], stream: Any = None) -> Any:
        """The results for ``args``.

        Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`,
            :class:`pith.FormatError`, each naming the argument; :class:`pith.UnsupportedError` for a stream.
        """
        if stream is not None:
            raise UnsupportedError("an emulated GPU has no streams", where=self.program.name, hint="leave stream out")
        if self._check is not None:
            self._check(args)
        given = iter(args)
        values = [self.bound[i] if i in self.bound else next(given) for i in range(len(self.params))]
        native = self._flatten(values)
        results = self._run(self.program, native)
        if any(map(is_torch, args)):
            results = [as_torch(r) if isinstance(r, np.ndarray) else r for r in results]
        return results[0] if len(results) == 1 else tuple(results) or None

    def _flatten(self, values: Sequence[Any]) -> list[Any]:
        operands = iter(self.program.arguments)
        out: list[Any] = []
        for param, value in zip(self.params, values):
            where = f"{self.program.name}: argument {param.name!r}"
            for part in _parts(param, value, where):
                operand = next(operands)
                if operand.shape is None:
                    out.append(part)
                    continue
                sizes = tuple(-1 if s.constant is None else s.constant for s in operand.shape)
                out.append(conform(part, MemRefSpec(operand.dtype, sizes, param.name, operand.written), where))
        return out


def _parts(param: Param, value: Any, where: str) -> list[Any]:
    """What one parameter stands for: arrays and numbers in the order of the program's arguments."""
    if param.kind != "pattern":
        return param.flatten(value, where)
    if hasattr(value, "granularity") and not isinstance(value, SparseTensor):
        return [pattern_list(param.pattern(value, where))]
    return [as_array(value, where)]  # a list that another kernel made
