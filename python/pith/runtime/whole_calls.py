"""Calls that Dynamo put into a graph as they are: run, or traced by what comes behind Dynamo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: What a call is answered with that is none of torch's graph.
UNTRACED = object()

#: None, as graphs hold it: Dynamo takes none among the arguments of a call.
NOTHING = "pith: nothing"


def run_whole(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``function`` of arguments in which ``NOTHING`` stands for None.

    >>> run_whole(lambda x, y=1: (x, y), ["x"], {"y": NOTHING})
    ('x', None)
    """
    given = [None if _is_nothing(a) else a for a in args]
    named = {name: None if _is_nothing(a) else a for name, a in kwargs.items()}
    torch = sys.modules.get("torch")
    if torch is not None and torch._C._len_torch_dispatch_stack():
        return among_modes(function, given, named)
    return function(*given, **named)


def among_modes(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``function``, as an op of torch where torch traces the tensors among its arguments."""
    from ..torch.calls import traced

    result = traced(function, args, kwargs)
    return function(*args, **kwargs) if result is UNTRACED else result


def _is_nothing(value: Any) -> bool:
    return isinstance(value, str) and value == NOTHING
