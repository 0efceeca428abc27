"""``opaque``: functions that ``torch.compile`` calls between its graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def opaque(function: Function) -> Function:
    """:func:`torch.compiler.disable`, with the type of ``function``: graphs end before it and go on behind it.

    >>> @opaque
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(2)
    4
    """
    return cast(Function, torch.compiler.disable(function))
