"""Narrow floats that an instruction set does not multiply: their products are computed in f32, which is said once."""

from __future__ import annotations

import re
import sys
import threading
import warnings

from pith.lowering.isa import Isa

from ..errors import PerformanceWarning

_PRODUCT = re.compile(r"linalg\.\w*(?:matmul|conv)|arith\.mulf|pith\.attention")
_ELEMENT = re.compile(r"x(bf16|f16)[,>]")

_lock = threading.Lock()
_said: set[str] = set()


def widening_text(element: str, isa: Isa) -> str | None:
    """What there is to know of products of an element type; None where instructions multiply it.

    >>> from pith.lowering.isa import ISAS
    >>> widening_text("f16", ISAS["avx2"])
    'f16 is multiplied in f32: avx2 has no instruction for it; at most the speed of f32, in half of the memory'
    >>> widening_text("bf16", ISAS["amx"])
    """
    if not isa.widens(element):
        return None
    name = isa.name.removeprefix("emulate:")
    why = f"{name} has no instruction for it; at most the speed of f32, in half of the memory"
    return f"{element} is multiplied in f32: {why}"


def warn_of_widening(source: str, isa: Isa) -> None:
    """Tell, once per process and element type, that a program multiplies one that the instruction set does not."""
    for element in sorted(set(_ELEMENT.findall(source)) - _said if _PRODUCT.search(source) else ()):
        text = widening_text(element, isa)
        with _lock:
            if text is None or element in _said:
                continue
            _said.add(element)
        warnings.warn(text, PerformanceWarning, stacklevel=_frames_of_pith())


def _frames_of_pith() -> int:
    """The level of the frame that called pith, for :func:`warn_of_widening`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "pith":
        frame, level = frame.f_back, level + 1
    return level
