"""What upstream's pipeline parser accepts, and its refusals turned into errors with positions."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import NoReturn

from pith._mlir import PassManager, ir

from .registry import pith_passes, pith_pipelines, suggest
from .syntax import NestNode, Node, Option, PassNode, Source, split_options

_RESTRICTED = re.compile(r"restricted to '([^']+)'")
_UNREGISTERED = "does not refer to a registered pass"


def upstream_refusal(text: str, context: ir.Context) -> str | None:
    """What upstream's parser says about the pipeline ``text``, or None when it accepts it."""
    try:
        PassManager.parse(text, context)
    except ValueError as e:
        lines = [line for line in str(e).splitlines() if line.strip() and not line.startswith("failed to add")]
        return "; ".join(lines)
    return None


def implicit_anchor(name: str, context: ir.Context) -> str | None:
    """The operation a pass named without nesting must be nested under (None: it runs on the module).

    Example:
        >>> implicit_anchor("convert-gpu-to-nvvm", ir.Context()), implicit_anchor("cse", ir.Context())
        ('gpu.module', None)
    """
    if name in pith_passes() or name in pith_pipelines():
        return None
    match = _RESTRICTED.search(upstream_refusal(f"builtin.module({name})", context) or "")
    return match[1] if match else None


def explain_refusal(anchor: str, nodes: Sequence[Node], refusal: str, source: Source, context: ir.Context) -> NoReturn:
    """Raise :class:`pith.PipelineError` at the element of ``nodes`` (under ``anchor``) that upstream refuses."""
    for node in nodes:
        _check((anchor,), node, source, context)
    source.error(nodes[0].pos, f"upstream refuses these passes together: {refusal}")


def _check(anchors: tuple[str, ...], node: Node, source: Source, context: ir.Context) -> None:
    """Raise for the innermost element of ``node`` that upstream refuses under ``anchors``."""
    if isinstance(node, NestNode):
        for child in node.children:
            _check((*anchors, node.anchor), child, source, context)
    refusal = _refusal_below(anchors, str(node), context)
    if refusal is None:
        return
    if isinstance(node, NestNode):
        source.error(node.pos, f"upstream refuses {str(node)!r}: {refusal}")
    if _UNREGISTERED in refusal:
        source.error(node.pos, f"unknown pass {node.name!r}", suggest(node.name))
    anchor = _RESTRICTED.search(refusal)
    if anchor:
        hint = "move it to the top level" if anchor[1] == "builtin.module" else f"write {anchor[1]}({node})"
        source.error(node.pos, f"{node.name!r} runs on {anchor[1]!r}, not on {anchors[-1]!r}", hint)
    for option in split_options(source, node.options or "", source.text.find("{", node.pos) + 1):
        _check_option(anchors, node, option, source, context)
    source.error(node.pos, f"upstream refuses {str(node)!r}: {refusal}")


def _check_option(
    anchors: tuple[str, ...], node: PassNode, option: Option, source: Source, context: ir.Context
) -> None:
    given = option.key if option.value is None else f"{option.key}={option.value}"
    refusal = _refusal_below(anchors, f"{node.name}{{{given}}}", context)
    if refusal is None:
        return
    if "no such option" in refusal:
        known = upstream_options(anchors, node.name, context)
        hint = "its options are: " + ", ".join(known) if known else "the pass takes no options"
        source.error(option.pos, f"pass {node.name!r} has no option {option.key!r}", hint)
    source.error(option.pos, f"option {option.key!r} of {node.name!r} refuses {option.value!r}: {refusal}")


def upstream_options(anchors: Sequence[str], name: str, context: ir.Context) -> list[str]:
    """The options of the upstream pass ``name`` that have a printable default, as upstream prints them.

    Example:
        >>> upstream_options(["builtin.module"], "convert-math-to-llvm", ir.Context())
        ['approximate-log1p=true']
    """
    text = str(PassManager.parse(_nested(anchors, name), context))
    match = re.search(rf"(?<![\w-]){re.escape(name)}\{{(.*?)\}}", text, re.DOTALL)
    return match[1].split() if match else []


def _refusal_below(anchors: Sequence[str], element: str, context: ir.Context) -> str | None:
    with _captured_stderr() as printed:
        refusal = upstream_refusal(_nested(anchors, element), context)
    return refusal if refusal is None else "; ".join(filter(None, [refusal, *printed])).strip()


def _nested(anchors: Sequence[str], element: str) -> str:
    for anchor in reversed(anchors):
        element = f"{anchor}({element})"
    return element


@contextlib.contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """Lines the process writes to file descriptor 2: LLVM's option parser reports bad values only there."""
    lines: list[str] = []
    saved = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += [re.sub(r"^.*?: (for the )?", "", line.strip()) for line in file if line.strip()]
