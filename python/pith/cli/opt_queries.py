"""``pith-opt`` flags that print something about pith and exit."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pith.errors import PipelineError

if TYPE_CHECKING:
    from pith.passes.core import Pass


def answer(flags: argparse.Namespace) -> str:
    """The text for the first query among ``flags`` but ``--help``."""
    if flags.version:
        return version()
    if flags.list_passes:
        return list_passes()
    return show_dialects() if flags.show_dialects else dump_irdl()


def version() -> str:
    """Versions of pith and of the MLIR it runs on."""
    from importlib import metadata

    import pith

    return f"pith-opt {pith.__version__} (torch-mlir {metadata.version('torch-mlir')})\n"


def list_passes() -> str:
    """Both worlds: pith's passes with summaries, pith's pipelines with their text, upstream's passes."""
    from pith.passes.pipeline.registry import load_pass, pith_passes, pith_pipelines, summary, upstream_passes

    sections = [
        ("Passes of pith", {name: summary(load_pass(name)) for name in sorted(pith_passes())}),
        ("Pipelines of pith", {name: " ".join(text.split()) for name, text in sorted(pith_pipelines().items())}),
        ("Passes and pipelines of MLIR", upstream_passes()),
    ]
    return "\n".join(_section(title, entries) for title, entries in sections)


def describe_passes(names: Iterable[str]) -> str:
    """What passes and pipelines do, with the options of pith's.

    Errors: :class:`pith.PipelineError` for a name nobody knows.
    """
    return "\n".join(map(_describe, names))


def _describe(name: str) -> str:
    from pith.passes.pipeline.registry import is_known, load_pass, pith_passes, pith_pipelines, suggest, upstream_passes

    if name in pith_passes():
        return _describe_pass(name, load_pass(name))
    if name in pith_pipelines():
        return f"{name}: a pipeline of pith\n\n  {' '.join(pith_pipelines()[name].split())}\n"
    if not is_known(name):
        raise PipelineError(f"unknown pass {name!r}", hint=suggest(name))
    summary = upstream_passes()[name] or "no summary"
    return f"{name}: {summary}\n\na pass or pipeline of MLIR; it has the options it has in mlir-opt\n"


def _describe_pass(name: str, cls: type[Pass]) -> str:
    """The docstring as it reads in a terminal, then the options."""
    from pith.passes.pipeline.options import describe_type, format_value, option_types

    text = re.sub(r":\w+:`([^`]+)`", r"\1", inspect.cleandoc(cls.__doc__ or "")).replace("``", "`")
    defaults = {f.name.replace("_", "-"): f.default for f in dataclasses.fields(cls)}
    rows = {}
    for option, type_ in option_types(cls).items():
        default = defaults[option]
        text_of = "none" if default in ("", (), None) else format_value(default)
        said = "required" if default is dataclasses.MISSING else f"default {text_of}"
        rows[f"{option}="] = f"{describe_type(type_)} ({said})"
    options = _section("options", rows) if rows else "options: none\n"
    shown = f"={next(iter(rows))}..." if rows else ""
    return f"{name}: {text}\n\n{options}\nusage: pith-opt --{name}{shown} FILE.mlir\n"


def show_dialects() -> str:
    """Dialects an input may use, on one line like upstream's."""
    return "Available Dialects: " + ", ".join(dialect_names()) + "\n"


def dialect_names() -> list[str]:
    """Names of the dialects upstream's wheel registers, and pith's, sorted.

    MLIR tells the registered ones only in the note on an op of an unknown dialect.
    """
    from pith import dialect
    from pith._mlir import ir

    try:
        ir.Module.parse("unknown_dialect.op", dialect.make_context())
    except ir.MLIRError as e:
        match = re.search(r"Available dialects: ([\w, ()*]+)", str(e))
        return sorted(re.findall(r"\w+(?=[^\w)]|$)", re.sub(r"\(.*?\)", "", match[1]))) if match else ["pith"]
    return ["pith"]


def dump_irdl() -> str:
    """The pith dialect as IRDL text."""
    from pith import dialect

    return str(dialect.dump_irdl()).rstrip("\n") + "\n"


def _section(title: str, entries: dict[str, str]) -> str:
    width = min(48, max(map(len, entries), default=0))
    rows = [f"  {name:<{width}}  {text}".rstrip() for name, text in entries.items()]
    return "\n".join([f"{title}:", *rows, ""])
