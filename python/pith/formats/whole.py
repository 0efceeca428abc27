"""Whole numbers of formats, from whatever says one."""

from __future__ import annotations

import operator
from typing import Any

from ..errors import FormatError


def settle_whole(part: Any, called: str, *names: str) -> None:
    """Make attributes of the frozen dataclass ``part`` Python integers: ``np.int64(4)`` is 4.

    Errors: :class:`pith.FormatError`, which calls it ``called``, for what is no whole number: ``2.0``, ``True``.
    """
    for name in names:
        value = getattr(part, name)
        if type(value) is not int:
            object.__setattr__(part, name, whole(value, f"{name} of {called}"))


def whole(value: Any, what: str, least: int | None = None) -> int:
    """``value`` as a Python integer, of at least ``least``.

    >>> whole(2.0, "G")
    Traceback (most recent call last):
        ...
    pith.errors.FormatError: G expects a whole number, got 2.0
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        bound = "" if least is None else f" of at least {least}"
        raise FormatError(f"{what} expects a whole number{bound}, got {value!r}")
    return number
