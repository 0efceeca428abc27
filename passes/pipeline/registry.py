"""The names a pipeline may use: pith's passes and pipelines, and upstream's passes."""

from __future__ import annotations

import difflib
import functools
import pathlib

from pith.errors import PipelineError

from ..core import Pass, load

_UPSTREAM = pathlib.Path(__file__).with_name("upstream_passes.txt")

#: Python module -> the passes and the pipelines that were loaded from it (:func:`.loading.load_passes`).
_LOADED: dict[str, tuple[dict[str, str], dict[str, str]]] = {}


def register(module: str, passes: dict[str, str], pipelines: dict[str, str]) -> None:
    """Add passes ("module:Class" by name) and pipelines that ``module`` brings, in place of those it brought before."""
    _LOADED[module] = passes, pipelines


def pith_passes() -> dict[str, str]:
    """Name -> "module:Class" of every pass of pith: tensor level, then conversions, then loaded ones."""
    from pith import lowering, passes

    return {**passes.PASSES, **lowering.PASSES, **_loaded(0)}


def pith_pipelines() -> dict[str, str]:
    """Name -> text of every named pipeline of pith."""
    from pith import lowering

    return {**lowering.PIPELINES, **_loaded(1)}


def _loaded(kind: int) -> dict[str, str]:
    return {name: text for brought in _LOADED.values() for name, text in brought[kind].items()}


@functools.cache
def upstream_passes() -> dict[str, str]:
    """Name -> one-line summary (may be empty) of the passes of the pinned MLIR wheel.

    MLIR can look a pass up but not list its registry from Python, so the list is a file,
    made by ``python -m pith.passes.pipeline.listing`` and checked by ``test/unit/test_pipeline_listing.py``.
    """
    lines = (line.partition("\t") for line in _UPSTREAM.read_text().splitlines() if not line.startswith("#"))
    return {name: summary for name, _, summary in lines}


def load_pass(name: str) -> type[Pass]:
    """The class of the pass ``name``. Errors: :class:`pith.PipelineError` when pith has none of that name."""
    table = pith_passes()
    if name not in table:
        raise PipelineError(f"unknown pass {name!r}", hint=suggest(name))
    return load(table[name])


def is_known(name: str, besides: str | None = None) -> bool:
    """Whether ``name`` is a pass or pipeline of pith or of upstream; not of a module that was loaded ``besides``."""
    if besides in _LOADED and any(name in table for table in _LOADED[besides]):
        return False
    return any(name in table for table in (pith_passes(), pith_pipelines(), upstream_passes()))


def suggest(name: str) -> str:
    """A hint for a name nobody knows: the closest known ones."""
    known = [*pith_passes(), *pith_pipelines(), *upstream_passes()]
    close = difflib.get_close_matches(name, known, 3, 0.7)
    if close:
        return "did you mean " + " or ".join(map(repr, close)) + "?"
    return "`pith-opt --list-passes` shows the passes and pipelines"


def summary(cls: type[Pass]) -> str:
    """The first sentence of a pass's docstring on one line."""
    first = (cls.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(first.split())
