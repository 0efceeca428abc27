"""Passes from outside of the tree: what ``pith-opt --load`` adds to the names of a pipeline."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pathlib
import sys
from types import ModuleType

from pith.errors import PipelineError

from ..core import Pass
from .registry import is_known, register

#: What names of modules made of files begin with.
LOADED = "loaded by pith from "


def load_passes(source: str) -> tuple[str, ...]:
    """Make the passes of a Python file (``passes.py``) or module (``package.module``) known to pipelines.

    Semantics: every :class:`pith.passes.Pass` that is defined there, by its ``name``, and the pipelines of a
        dictionary ``PIPELINES``, name -> text, if there is one. A source that was loaded before is not loaded again.
    Returns: the names of the passes.
    Errors: :class:`pith.PipelineError` for a source that cannot be loaded or has no passes, and for names that are
        taken.
    """
    module = _module(source)
    found = [c for c in vars(module).values() if _is_pass(c) and c.__module__ == module.__name__]
    if not found:
        hint = "a pass is a frozen dataclass that derives from pith.passes.Pass and has a name"
        raise PipelineError("defines no pass", where=source, hint=hint)
    specs = {cls.name: f"{module.__name__}:{cls.__qualname__}" for cls in found}
    pipelines = dict(getattr(module, "PIPELINES", {}))
    for name in (*specs, *pipelines):
        if is_known(name, besides=module.__name__):
            raise PipelineError(f"there is a pass or pipeline {name!r} already", where=source, hint="rename it")
    register(module.__name__, specs, pipelines)
    return tuple(specs)


def _is_pass(value: object) -> bool:
    named = isinstance(value, type) and issubclass(value, Pass) and isinstance(getattr(value, "name", None), str)
    return named and dataclasses.is_dataclass(value) and value is not Pass


def _module(source: str) -> ModuleType:
    try:
        return _of_file(source) if source.endswith(".py") else importlib.import_module(source)
    except Exception as e:
        where = getattr(e, "lineno", None)
        text = f"cannot be loaded: {type(e).__name__}: {e}"
        hint = "a file (passes.py) or a module that Python finds (package.module)"
        raise PipelineError(text, where=source if where is None else f"{source}:{where}", hint=hint) from e


def _of_file(source: str) -> ModuleType:
    path = pathlib.Path(source).resolve()
    name = f"{LOADED}{path}"  # dataclasses and registry look the module up by name
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
