"""``traceable``: functions that are one op of torch while torch traces, and themselves everywhere else.

Dynamo traces this file (:mod:`pith.untraced`): what it meets in it is a call, of :func:`traceable`'s ``whole``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .runtime.whole_calls import NOTHING, among_modes, run_whole
from .untraced import whole_call

Function = TypeVar("Function", bound=Callable[..., Any])


def traceable(function: Function) -> Function:
    """``function``, which ``torch.compile`` and ``torch.export`` put into their graphs as an op.

    Semantics: the op is that of :mod:`pith.torch.calls`; what its result looks like is said by the function of the same
        name in :mod:`pith.torch.call_results`. Without a mode of torch around, the function itself runs.

    >>> from pith.functional.linear.linear import linear
    >>> linear.__name__, linear.__wrapped__.__name__
    ('linear', 'linear')
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _traces:
            if _is_compiling():
                if _is_exporting():
                    _end_graph(_STRICT)
                given = [NOTHING if a is None else a for a in args]
                return whole(given, {name: NOTHING if a is None else a for name, a in kwargs.items()})
            if _modes():
                return among_modes(function, args, kwargs)
        return function(*args, **kwargs)

    @functools.wraps(function)
    def whole(args: Any, kwargs: Any) -> Any:
        return run_whole(function, args, kwargs)

    call.__dict__["whole"] = whole_call(whole)  # as long as the call: Dynamo knows it by identity
    return cast(Function, call)


#: Whether torch may trace, which it does not before Dynamo is imported. A call takes 0.25 us more by the function
#: around it, and 0.4 where torch may trace, of 4.3 us of the smallest product: 16x16 CSR, 4 columns (Zen 4, 2026-11).
_traces = False

#: To Dynamo, which has no graph of a call for ``torch.export(strict=True)``.
_STRICT = "torch.export(strict=True) takes no calls of pith's functions: leave strict=False, the default of torch"

#: Then torch's own answers: whether Dynamo reads this, and for an export, and how many modes of torch are around.
_is_compiling: Callable[[], bool]
_is_exporting: Callable[[], bool]
_end_graph: Callable[[str], None]
_modes: Callable[[], int]


def know_torch() -> None:
    """Ask torch from now on whether it traces."""
    global _traces, _is_compiling, _is_exporting, _end_graph, _modes
    torch = sys.modules["torch"]
    _is_compiling, _modes = torch.compiler.is_dynamo_compiling, torch._C._len_torch_dispatch_stack
    _is_exporting, _end_graph = torch.compiler.is_exporting, lambda why: torch._dynamo.graph_break(msg=why)
    _traces = True
