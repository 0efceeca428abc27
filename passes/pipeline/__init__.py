"""Textual pass pipelines that mix pith's passes with upstream's.

::

    builtin.module(pith-infer-pit-axes,pith-select-tiles{target=cpu},func.func(canonicalize),sparsifier{vl=16})

Pith's passes run as Python calls on the module; runs of consecutive upstream passes between them
become one upstream ``PassManager`` each. Named pipelines (``pith.lowering.PIPELINES``) expand in place.

``syntax`` reads the text, ``registry`` knows the names (``loading`` adds those of other files, ``listing`` writes the
list of upstream's), ``options`` and ``upstream`` check what belongs to each. ``run`` runs them, under ``instruments``,
with ``diagnostics`` as data, and leaves a ``reproducer`` behind.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pith._mlir import ir
from pith.errors import PipelineError

from ..core import Pass
from .options import build_pass, format_pass
from .registry import load_pass, pith_passes, pith_pipelines
from .syntax import NestNode, Node, PassNode, Source, parse_syntax
from .upstream import explain_refusal, upstream_refusal

if TYPE_CHECKING:
    from .instruments import Instrument

_MODULE_ANCHORS = ("builtin.module", "any")


@dataclasses.dataclass(frozen=True)
class PithStep:
    """One pass of pith and the text that named it."""

    pass_: Pass
    text: str

    @property
    def name(self) -> str:
        """The name of the pass, without options."""
        return self.pass_.name


@dataclasses.dataclass(frozen=True)
class UpstreamStep:
    """Consecutive upstream elements, run by one upstream ``PassManager`` anchored on ``anchor``."""

    anchor: str
    elements: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole upstream pipeline."""
        return f"{self.anchor}({','.join(self.elements)})"

    @property
    def name(self) -> str:
        """The elements without their options: what IR dumps and timing reports call the step."""
        return ",".join(re.sub(r"\{.*\}", "", e, flags=re.DOTALL) for e in self.elements)


Step = PithStep | UpstreamStep


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A checked pipeline. ``str()`` gives its text, which parses back to an equal pipeline.

    Example:
        >>> p = parse_pipeline("builtin.module(canonicalize, cse)")
        >>> str(p), len(p.steps)
        ('builtin.module(canonicalize,cse)', 1)
    """

    anchor: str
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, *passes: Pass) -> Pipeline:
        """The pipeline of these passes of pith."""
        return cls("builtin.module", tuple(PithStep(p, format_pass(p)) for p in passes))

    def run(self, module: ir.Module, *instruments: Instrument, verify: bool = True, forward: bool = False) -> None:
        """Run on ``module`` in place; see :func:`pith.passes.pipeline.run.run_steps`."""
        from .run import run_steps

        run_steps(self, module, instruments, verify=verify, forward=forward)

    def __str__(self) -> str:
        texts = (e for step in self.steps for e in (step.elements if isinstance(step, UpstreamStep) else (step.text,)))
        return f"{self.anchor}({','.join(texts)})"


def parse_pipeline(text: str, context: ir.Context | None = None) -> Pipeline:
    """Parse and check ``text``: names, options, nesting, for pith's and upstream's passes.

    Errors: :class:`pith.PipelineError` with line, column, a caret, and the close or valid names.

    Example:
        >>> parse_pipeline("builtin.module(canonicalise)")
        Traceback (most recent call last):
        pith.errors.PipelineError: pipeline:1:16: unknown pass 'canonicalise'
          builtin.module(canonicalise)
                         ^
          hint: did you mean 'canonicalize'?
    """
    source = Source(text)
    tree = parse_syntax(source)
    context = context or _checking_context()
    return Pipeline(tree.anchor, tuple(_steps(tree, source, context, ())))


def run_pipeline(
    module: ir.Module, text: str, *, verify: bool = True, dump_dir: str | os.PathLike[str] | None = None
) -> None:
    """Run the pipeline ``text`` on ``module`` in place.

    Args:
        module: the module to rewrite; after an error its content is whatever the failed pass left.
        text: a textual pipeline over pith's and upstream's passes.
        verify: check the module after every pass.
        dump_dir: write the IR after every pass below this directory.

    Errors: :class:`pith.PipelineError` for the text, :class:`pith.PassError` for a pass that fails.
    """
    from .instruments import IRPrinter

    pipeline = parse_pipeline(text, module.context)
    instruments = [IRPrinter(after=True, tree_dir=os.fspath(dump_dir))] if dump_dir is not None else []
    pipeline.run(module, *instruments, verify=verify)


def _steps(tree: NestNode, source: Source, context: ir.Context, active: tuple[str, ...]) -> Iterator[Step]:
    """The steps of ``tree`` in order; ``active`` are the named pipelines being expanded (outermost first)."""
    pending: list[Node] = []
    for step in _expand(tree, source, context, active, pending):
        yield from _flush(tree.anchor, pending, source, context)
        yield step
    yield from _flush(tree.anchor, pending, source, context)


def _expand(tree, source: Source, context: ir.Context, active: tuple[str, ...], pending: list[Node]) -> Iterator[Step]:
    """Yield pith's steps (and those of named pipelines); collect upstream elements in ``pending``."""
    passes, pipelines = pith_passes(), pith_pipelines()
    for node in tree.children:
        if isinstance(node, NestNode):
            _refuse_nested(node, source, passes, pipelines)
            pending.append(node)
        elif node.name not in passes and node.name not in pipelines:
            pending.append(node)
        elif tree.anchor not in _MODULE_ANCHORS:
            source.error(node.pos, f"{node.name!r} runs on builtin.module, not on {tree.anchor!r}")
        elif node.name in passes:
            yield PithStep(build_pass(load_pass(node.name), node, source), str(node))
        else:
            yield from _named(node, source, context, active)


def _named(node: PassNode, source: Source, context: ir.Context, active: tuple[str, ...]) -> Iterator[Step]:
    if node.options is not None and node.options.strip():
        source.error(node.pos, f"pipeline {node.name!r} takes no options", "name its passes one by one to set options")
    if node.name in active:
        cycle = " -> ".join([*active[active.index(node.name) :], node.name])
        source.error(node.pos, f"pipeline {node.name!r} contains itself: {cycle}")
    inner = Source(pith_pipelines()[node.name], f"pipeline {node.name!r}")
    tree = parse_syntax(inner)
    if tree.anchor not in _MODULE_ANCHORS:
        tree = NestNode("builtin.module", (tree,), 0)
    yield from _steps(tree, inner, context, (*active, node.name))


def _refuse_nested(tree: NestNode, source: Source, passes: dict[str, str], pipelines: dict[str, str]) -> None:
    for node in tree.children:
        if isinstance(node, NestNode):
            _refuse_nested(node, source, passes, pipelines)
        elif node.name in passes or node.name in pipelines:
            what = "pass" if node.name in passes else "pipeline"
            message = f"pith's {what} {node.name!r} cannot be nested under {tree.anchor!r}: it runs on builtin.module"
            source.error(node.pos, message, f"move it out: builtin.module({node})")


def _flush(anchor: str, pending: list[Node], source: Source, context: ir.Context) -> Iterator[UpstreamStep]:
    """The collected upstream elements as one checked step; empties ``pending``."""
    if not pending:
        return
    step = UpstreamStep(anchor, tuple(map(str, pending)))
    refusal = upstream_refusal(step.text, context)
    if refusal is not None:
        explain_refusal(anchor, pending, refusal, source, context)
    pending.clear()
    yield step


@functools.cache
def _checking_context() -> ir.Context:
    return ir.Context()


__all__ = ["Pipeline", "PipelineError", "PithStep", "Step", "UpstreamStep", "parse_pipeline", "run_pipeline"]
