"""Modules with several functions: the one that is meant, without what it does not use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pith._mlir import ir

from .build import function_of, only_entry, parse

_SYMBOL = re.compile(r'@(?:"([^"]*)"|([\w$.-]+))')
_VISIBILITY = "sym_visibility"


def selected(source: str, entry: str | None = None, file: str | None = None) -> str:
    """``source`` with only the function ``entry``, public, and what that uses; ops keep their locations.

    Args:
        source: MLIR text.
        entry: the function; by default the one public function.
        file: what holds the source, where it is a file.

    Returns: ``source`` itself where there is nothing else in it.
    Errors: :class:`pith.IRError` where there is no such function, or several public ones and none is named.

    Example:
        >>> text = "func.func @a() { return }  func.func @b() { return }"
        >>> "@a" in selected(text, "b"), "@b" in selected(text, "b")
        (False, True)
    """
    module = parse(source, path=file)
    name = entry or only_entry(module)
    with module.context:
        chosen = function_of(module, name)
        dropped = _unused(module, name)
        hidden = _VISIBILITY in chosen.operation.attributes
        if not dropped and not hidden:
            return source
        for op in dropped:
            op.operation.erase()
        if hidden:
            del chosen.operation.attributes[_VISIBILITY]
        return module.operation.get_asm(enable_debug_info=True)


def _unused(module: ir.Module, entry: str) -> list[Any]:
    """The functions that neither ``entry`` nor what is not a function leads to."""
    functions = {op.sym_name.value: op for op in module.body.operations if op.operation.name == "func.func"}
    others = [op for op in module.body.operations if op.operation.name != "func.func"]
    used = {entry, *_named(others, functions)}
    waiting = list(used)
    while waiting:
        found = set(_named([functions[waiting.pop()]], functions)) - used
        used |= found
        waiting += found
    return [op for name, op in functions.items() if name not in used]


def _named(ops: Iterable[Any], functions: Mapping[str, Any]) -> list[str]:
    """Names of functions that occur in ops."""
    found = (quoted or plain for op in ops for quoted, plain in _SYMBOL.findall(str(op)))
    return [name for name in found if name in functions]
