"""MLIR contexts that serve one kernel after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pith._mlir import ir
from pith.dialect import make_context

from ..errors import interrupts_kept

#: Kernels a context serves before it is given up: types and constants stay in a context for as long as it lives.
_MOST_KERNELS = 16

#: Contexts nobody uses, each with the number of kernels it has served. Threads take them off and put them back.
_idle: list[tuple[ir.Context, int]] = []


@contextlib.contextmanager
def borrowed_context() -> Iterator[ir.Context]:
    """A context with pith loaded that no one else uses during the block; what is made in it ends with the block.

    Making a context takes 12 ms, a tenth of what a kernel takes to compile (Zen 3, 2026-11). After an error it is
    given up. It has no threads of its own: those would be missing after a fork. Ctrl-C stays what it is.
    """
    try:
        context, served = _idle.pop()
    except IndexError:
        context, served = make_context(), 0
        context.enable_multithreading(False)
    with interrupts_kept():
        yield context
    if served + 1 < _MOST_KERNELS:
        _idle.append((context, served + 1))
