"""``FILE.py:FUNCTION`` on a command line: the model that a Python file builds."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from pith.errors import ArgumentError, MissingFileError


def built(text: str) -> tuple[Any, Any, Any]:
    """What ``FILE.py:FUNCTION`` returns: a module, example arguments, and formats or None.

    Errors: :class:`pith.MissingFileError`; :class:`pith.ArgumentError` for text of another form, a file without the
        function, and a function that returns something else. What the file raises comes through.
    """
    path, _, name = text.rpartition(":")
    if not path.endswith(".py"):
        raise ArgumentError(
            f"expects a .mlir file or FILE.py:FUNCTION, got {text!r}", where="pith compile", hint="model.py:build"
        )
    result = _function(path, name)()
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        got = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise ArgumentError(f"returns {got}", where=text, hint="return (module, args) or (module, args, sparsity)")
    module, args, *rest = result
    return module, args, rest[0] if rest else None


def _function(path: str, name: str) -> Callable[[], Any]:
    if not pathlib.Path(path).is_file():
        raise MissingFileError("No such file", where=path)
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError("is not a Python file", where=path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path(path).resolve().parent))  # it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        names = ", ".join(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")) or "none"
        raise ArgumentError(f"has no function {name!r}", where=path, hint=f"it defines: {names}")
    return function
