"""What earlier calls decided: operands in the same memory are not looked at in every call.

A sample and the code around it take 0.1 to 0.25 ms when the caches hold something else. A decision that repeats is
kept for the next 1, 2, 4, 8 calls whose operands have the same shapes and lie where they did (a layer's weights, and a
buffer that its input is written to again). What is packed is still detected, and counted, in every call: more than
pays there is computed densely.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

import numpy as np

from ..formats.pack_buffers import aligned_empty
from ..runtime import num_threads
from .dense import multiply_library

#: Calls that a decision is kept for at most, how the number grows, and decisions that are kept.
_LONGEST, _GROWTH, _KEPT = 8, 2, 4096

#: Products too small to decide about: never looked at again.
_ALWAYS = sys.maxsize


@dataclasses.dataclass(slots=True)
class Remembered:
    """A decision.

    Attributes:
        choice: what was chosen.
        ran: what ran; dense when the exact count said so.
        left: calls it still holds for.
        span: calls it was to hold for when it was made.
    """

    choice: Any
    ran: str
    left: int
    span: int


_MEMORY: dict[tuple, Remembered] = {}


def key_of(marked: Any, x: Any, y: Any, left: bool) -> tuple | None:
    """What decisions are remembered by; None when nothing is remembered: a threshold, or operands of two kinds."""
    if marked.threshold or type(x) is not type(y):
        return None
    if type(x) is np.ndarray:
        places = x.__array_interface__["data"][0], y.__array_interface__["data"][0]
    elif hasattr(x, "data_ptr"):
        places = x.data_ptr(), y.data_ptr()
    else:
        return None
    return (*places, type(x), x.shape, y.shape, x.dtype, y.dtype, marked.granularity, left, num_threads())


def recall(key: tuple) -> Remembered | None:
    """The decision that holds for this call, or None."""
    found = _MEMORY.get(key)
    if found is None or not found.left:
        return None
    found.left -= 1
    return found


def remember(key: tuple, choice: Any, ran: str) -> None:
    """Keep a decision; for longer than the last one when it is the same."""
    last = _MEMORY.get(key)
    span = min(_GROWTH * last.span, _LONGEST) if last is not None and last.ran == ran else 1
    if last is None and len(_MEMORY) >= _KEPT:
        _MEMORY.clear()
    _MEMORY[key] = Remembered(choice, ran, _ALWAYS if choice.small else span, span)


def forget_decisions() -> None:
    """Decide anew: after the tile database changed."""
    _MEMORY.clear()


def multiply_dense(x: Any, y: Any, out: Any) -> Any:
    """``x @ y`` by the library, without another look; None where operands or ``out`` need one."""
    if type(x) is not np.ndarray:
        return x @ y if out is None and not (x.requires_grad or y.requires_grad) else None
    if x.ndim != 2 or y.ndim != 2:
        return x @ y if out is None else None
    shape = (x.shape[0], y.shape[1])
    if out is None:
        out = aligned_empty(math.prod(shape), x.dtype).reshape(shape)
    elif type(out) is not np.ndarray or out.shape != shape or out.dtype != x.dtype or not out.flags.carray:
        return None
    elif np.may_share_memory(out, x) or np.may_share_memory(out, y):
        return None
    multiply_library(x, y, out)
    return out
