"""What earlier calls decided: the same operands are not looked at in every call.

A sample and the code around it take 0.1 to 0.4 ms when the caches hold something else. A decision that repeats is
kept for the next 1, 2, 4, 8 calls on the same arrays (a layer's weights, and a buffer that its input is written to
again), and for more where a call takes so little that samples would take more than 1 % of them. Inputs that were never
seen follow what was decided for others of their shape beside the same dense operand: a layer makes new arrays in every
call. What is packed is still detected, and counted, in every call: more than pays there is computed densely.

A decision is valid for any operands, if not the best: so what it is kept by need not be exact, only cheap. Between two
products the caches hold nothing of the interpreter, and every attribute or call on the way to the library costs some
microseconds then: ``__array_interface__`` 15, the number of threads 20 (2026-11-21, AVX2), two questions whether memory
is shared 6 (2026-11-22, Emerald Rapids).
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...formats.pack_buffers import aligned_empty
from ...runtime.arrays import as_array, unreadable
from ..matmul.dense import library_again
from .dense import MultiplyDense, dense_way, library_layer
from .trial import DOUBTED, Trials

#: How the number of calls that a decision is kept for grows and shrinks, and decisions that are kept.
_GROWTH, _SHRINK, _KEPT = 2, 4, 4096

#: Dense calls of a trial, the first of which finds the caches full of something else: 0.94 ms where the library takes
#: 0.63 (64x1024x1024 f32, two threads, Emerald Rapids, 2026-11-22). A doubted decision is kept for so many calls.
_TRIED, _DOUBTED_SPAN = 2, 6

#: Calls that a decision is kept for at most: the first, or up to the second where deciding takes more than ``_SHARE``
#: of them. Deciding takes ``_DECIDING`` seconds: calls that were computed densely in 0.53 ms took 1.07 ms when they
#: decided, of 1.1 and 0.64 ms 1.36 and 0.93 (Emerald Rapids, one thread, two threads, 2026-11-22).
_LONGEST, _SHARE, _DECIDING = (8, 128), 0.005, 5.5e-4


@dataclasses.dataclass(slots=True)
class Remembered:
    """A decision.

    Attributes:
        choice: what was chosen.
        ran: what ran; dense when the exact count said so.
        dtype: of the operands.
        left: calls it still holds for.
        span: calls it was to hold for when it was made.
        bound: what runs it again (:class:`pith.functional.dynamic.bound.Bound`); None for dense, or where nothing does.
        dense: what multiplies densely, also where too much is there.
        checked: ``x``, ``y`` and ``out`` of the last call that wrote to a given array: what has been found out about
            these three objects holds.
        again: the library's product of those three, where it is what runs; it does not keep them.
        sure: micro-tiles run and are not doubted: the next call need not be timed.
        trials: what these calls took.
    """

    choice: Any
    ran: str
    dtype: Any
    left: int
    span: int
    bound: Any
    dense: MultiplyDense
    checked: tuple[weakref.ref, weakref.ref, weakref.ref] | None = None
    again: Callable[[], Any] | None = None
    sure: bool = False
    trials: Trials = dataclasses.field(default_factory=Trials)

    def tries_dense(self) -> bool:
        """Whether a call runs dense in place of micro-tiles: the last of those that a doubted decision is for, while
        decisions are kept for longer and longer."""
        if self.left >= _TRIED or self.span <= _TRIED or not self.trials.doubts(self.choice):
            return False
        return self.span < _longest(self.choice.decision.chosen.cost) or self.ran not in self.trials.corrections


#: By both operands; by the dense one, and the shape of the other.
_MEMORY: dict[tuple, Remembered] = {}
_BESIDE: dict[tuple, Remembered] = {}


def key_of(marked: Any, x: Any, y: Any, left: bool) -> tuple | None:
    """What decisions are remembered by; None when nothing is remembered: a threshold, or operands of two kinds.

    Arrays are told apart by their identity, tensors, of which views are made in every call, by where they lie. The
    marked operand's is first: without it, a key is one of :data:`_BESIDE`.
    """
    if marked.threshold or type(x) is not type(y):
        return None
    one, other = (x, y) if left else (y, x)
    if type(x) is np.ndarray:
        return id(one), id(other), one.shape, other.shape, marked.granularity, left
    if hasattr(x, "data_ptr"):
        try:
            return one.data_ptr(), other.data_ptr(), one.shape, other.shape, marked.granularity, left
        except RuntimeError as error:
            raise unreadable(sys.modules["torch"], error, "pith.dynamic") from error
    return None


def _longest(seconds: float) -> int:
    """Calls of so many seconds that a decision is kept for at most.

    >>> [_longest(ms * 1e-3) for ms in (13, 2, 0.1)]
    [8, 55, 128]
    """
    least, most = _LONGEST
    return min(most, max(least, int(_DECIDING / (_SHARE * seconds)))) if seconds > 0 else least


def repeat(key: tuple | None, x: Any, y: Any, out: Any) -> bool:
    """Run what was decided for three arrays again: the library's product, or that of micro-tiles.

    With few calls and look-ups on the way: behind a product each finds nothing in the caches (300x700x500 f32 on two
    threads, 0.76 ms: 13 us instead of 16 around the library's own; Emerald Rapids, 2026-11-22). The last calls of a
    decision go the long way, and are timed.
    """
    found = _MEMORY.get(key) if key is not None else None
    if found is None or found.checked is None or found.left <= (0 if found.again is not None else _TRIED):
        return False
    if found.again is None and not found.sure:
        return False
    one, other, result = found.checked
    if result() is not out or one() is not x or other() is not y or not out.flags.writeable:
        return False
    found.left -= 1
    if found.again is not None:
        found.again()
    elif not found.bound.run(x, y, out):
        found.left = 0
        found.dense(x, y, out, None)
    return True


def recall(key: tuple) -> Remembered | None:
    """The decision that holds for this call, or None."""
    found = last_of(key)
    if found is None or not found.left:
        return None
    found.left -= 1
    return found


def last_of(key: tuple | None) -> Remembered | None:
    """What was decided about these operands before, or about others like the marked one; also not to look at them."""
    if key is None:
        return None
    found = _MEMORY.get(key)
    return found if found is not None else _BESIDE.get(key[1:])


def remember(key: tuple, choice: Any, ran: str, dtype: Any, bound: Any, dense: MultiplyDense) -> None:
    """Keep a decision; for longer than the last one when it is the same, or it matters little which one it is.

    None about bytes, whose results have another type.
    """
    if dtype.itemsize == 1:
        return
    if key not in _MEMORY:
        _keep(_BESIDE, key[1:], choice, ran, dtype, bound, dense)
    _keep(_MEMORY, key, choice, ran, dtype, bound, dense)


def _keep(
    memory: dict[tuple, Remembered], key: tuple, choice: Any, ran: str, dtype: Any, bound: Any, dense: MultiplyDense
) -> None:
    last = memory.get(key)
    longest = _longest(choice.decision.chosen.cost)
    span = 1 if last is None else _span_after(last, choice, ran, longest)
    if last is None and len(memory) >= _KEPT:
        memory.clear()
    if last is not None and last.trials.prefers_library:
        dense = library_layer
    now = memory[key] = Remembered(choice, ran, dtype, choice.wait or span, span, bound, dense)
    if last is not None and last.choice.table is choice.table:  # and so on as many threads
        now.trials.corrections, now.trials.ways = last.trials.corrections, last.trials.ways
        now.trials.library_calls = last.trials.library_calls
    if last is not None and ran == last.ran == "dense" and last.dense is dense:
        now.checked, now.again = last.checked, last.again


def _span_after(last: Remembered, choice: Any, ran: str, longest: int) -> int:
    """Calls that a decision is kept for: twice as many as the last one, if dense is not taken for micro-tiles or they
    for it where much is gained by that."""
    is_timed = last.ran != ran or math.isfinite(last.trials.packed)  # calls on tensors are not
    if ran != "dense" and ran not in last.trials.corrections and is_timed and last.trials.doubts(choice):
        return _DOUBTED_SPAN
    if ran == "dense" and last.choice.wait:
        return longest
    goes_on = (last.ran == "dense") == (ran == "dense") or choice.gain < DOUBTED
    return min(_GROWTH * last.span, longest) if goes_on else max(last.span // _SHRINK, 1)


def forget_decisions() -> None:
    """Decide anew: after the tile database changed."""
    _MEMORY.clear()
    _BESIDE.clear()
    dense_way.cache_clear()


def run_again(known: Remembered, x: Any, y: Any, out: Any, bias: np.ndarray | None = None) -> Any:
    """``x @ y + bias`` as it was decided, without another look; None where operands or ``out`` need one."""
    seen = known.checked
    if seen is not None and seen[2]() is out and seen[0]() is x and seen[1]() is y and out.flags.writeable:
        return _multiply(known, x, y, out, bias)
    if x.dtype is not known.dtype or y.dtype is not known.dtype:
        return None
    dense = known.ran == "dense"
    if type(x) is not np.ndarray:
        plain = dense and out is None and not (x.requires_grad or y.requires_grad)
        return _multiply_tensors(known, x, y) if plain else None
    if not (dense or (known.bound is not None and x.flags.c_contiguous and y.flags.c_contiguous)):
        return None
    if x.ndim != 2 or y.ndim != 2:
        return x @ y if dense and out is None and x.dtype.itemsize >= 4 else None
    target = _target(x, y, out)
    if target is None:
        return None
    if target is out:
        known.checked = weakref.ref(x), weakref.ref(y), weakref.ref(out)
        known.again = library_again(x, y, out) if dense and known.dense is library_layer else None
    return _multiply(known, x, y, target, bias)


def _multiply(known: Remembered, x: np.ndarray, y: np.ndarray, out: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """``x @ y + bias`` in ``out``, of operands that fit."""
    if known.ran != "dense":
        if known.tries_dense():
            dense = library_layer if _is_wide(x) and not known.left else known.dense  # the faster of both counts
            known.trials.time_dense(lambda: dense(x, y, out, bias))
            return out
        start = time.perf_counter()
        if known.bound.run(x, y, out, bias):
            known.trials.took(time.perf_counter() - start)
            known.sure = not known.trials.doubts(known.choice)
            return out
        known.left = 0
        known.dense(x, y, out, bias)
    elif known.dense is library_layer or known.trials.knows_ways or not _is_wide(x):
        known.dense(x, y, out, bias)
    else:  # half of the calls of a decision by the library, to compare
        by_library = known.left < known.span // 2 and known.span > _TRIED
        start = time.perf_counter()
        (library_layer if by_library else known.dense)(x, y, out, bias)
        known.trials.took_densely(by_library, time.perf_counter() - start)
    return out


def _is_wide(x: np.ndarray) -> bool:
    """An element type that the library multiplies as fast as the processor can."""
    return x.dtype.kind == "f" and x.dtype.itemsize >= 4


def _multiply_tensors(known: Remembered, x: Any, y: Any) -> Any:
    """The dense product of two tensors; None for stacks of a type that torch may multiply slowly."""
    if known.dense is library_layer:
        return x @ y
    if x.ndim != 2 or y.ndim != 2:
        return x @ y if x.dtype.itemsize >= 4 else None
    a, b = (as_array(v, "pith.matmul of a dynamic operand") for v in (x, y))
    out = aligned_empty(a.shape[0] * b.shape[1], a.dtype).reshape(a.shape[0], b.shape[1])
    known.dense(a, b, out, None)
    return as_torch(out)


def _target(x: np.ndarray, y: np.ndarray, out: Any) -> np.ndarray | None:
    """Memory for the result: ``out``, or new; None where ``out`` does not fit or shares memory with an operand."""
    shape = (x.shape[0], y.shape[1])
    if out is None:
        return aligned_empty(math.prod(shape), x.dtype).reshape(shape)
    if type(out) is not np.ndarray or out.shape != shape or out.dtype is not x.dtype or not out.flags.carray:
        return None
    return None if np.may_share_memory(out, x) or np.may_share_memory(out, y) else out
