"""``FILE.py:FUNCTION`` on a command line: the model that a Python file builds."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from pith.errors import ArgumentError, Error, ImportProgramError, MissingFileError


def built(text: str) -> tuple[Any, Any, Any]:
    """What ``FILE.py:FUNCTION`` returns: a module, example arguments, and formats or None.

    Errors: :class:`pith.MissingFileError`; :class:`pith.ArgumentError` for text of another form, a file without the
        function, and a function that returns something else; :class:`pith.ImportProgramError`, with the line, for what
        the file raises.
    """
    path, _, name = text.rpartition(":")
    if not path.endswith(".py"):
        raise ArgumentError(f"expects a .mlir file or FILE.py:FUNCTION, got {text!r}", hint="model.py:build")
    function = _function(path, name)
    with _telling(path, f"{name}()"):
        result = function()
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        got = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise ArgumentError(f"returns {got}", where=text, hint="return (module, args) or (module, args, sparsity)")
    module, args, *rest = result
    return module, args, rest[0] if rest else None


@contextlib.contextmanager
def _telling(path: str, what: str) -> Iterator[None]:
    """Say of what the user's own code raises that it is theirs, and the line of their file."""
    try:
        yield
    except Error:
        raise
    except Exception as error:
        file = os.path.abspath(path)
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines.append(error.lineno)
        where = f"{path}:{lines[-1]}" if lines else path
        raise ImportProgramError(
            f"{what} raised {type(error).__name__}: {error}", where=where, hint="PITH_DEBUG=1 shows the traceback"
        ) from error


def _function(path: str, name: str) -> Callable[[], Any]:
    if not pathlib.Path(path).is_file():
        raise MissingFileError("No such file", where=path)
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError("is not a Python file", where=path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path(path).resolve().parent))  # it may import what lies beside it
    try:
        with _telling(path, "the file"):
            spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        names = ", ".join(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")) or "none"
        raise ArgumentError(f"has no function {name!r}", where=path, hint=f"it defines: {names}")
    return function
