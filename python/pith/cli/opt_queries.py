"""``pith-opt`` flags that print something about pith and exit."""

from __future__ import annotations

import argparse


def answer(flags: argparse.Namespace) -> str:
    """The text for the first query among ``flags``."""
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


def show_dialects() -> str:
    """Dialects an input may use, on one line like upstream's."""
    return "Available Dialects: " + ", ".join(dialect_names()) + "\n"


def dialect_names() -> list[str]:
    """Names of the dialects upstream's wheel registers, and pith's, sorted.

    MLIR tells the registered ones only in the note on an op of an unknown dialect.
    """
    import re

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
