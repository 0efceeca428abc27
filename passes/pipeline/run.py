"""Running a pipeline: verification between passes, instruments, and failures as errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pith._mlir import PassManager, ir
from pith.errors import Error, IRError, PassError, PipelineError

from . import Pipeline, PithStep, Step, UpstreamStep
from .diagnostics import Diagnostic, collect
from .instruments import Instrument
from .syntax import NestNode, parse_syntax


def run_steps(
    pipeline: Pipeline, module: ir.Module, instruments: Sequence[Instrument], *, verify: bool, forward: bool
) -> None:
    """Run ``pipeline`` on ``module`` in place.

    Args:
        pipeline: the parsed pipeline.
        module: the module, or the operation the pipeline is anchored on.
        instruments: observers called around every step. If one is ``granular``, upstream passes
            run one by one, so that it sees each of them.
        verify: check the module after every pass of pith, and let upstream check after each of its own.
        forward: let diagnostic handlers attached outside see the errors too (else only the exception has them).

    Errors: :class:`pith.PassError` that names the pass and carries the diagnostics.
    """
    steps = pipeline.steps
    if any(i.granular for i in instruments):
        steps = tuple(single for step in steps for single in _singles(step, module.context))
    for instrument in instruments:
        instrument.begin(dataclasses.replace(pipeline, steps=steps))
    for index, step in enumerate(steps):
        for instrument in instruments:
            instrument.before_pass(index, step, module)
        try:
            _run_step(step, module, verify=verify, forward=forward)
        except BaseException:
            for instrument in reversed(instruments):
                instrument.after_failure(index, step, module)
            raise
        for instrument in reversed(instruments):
            instrument.after_pass(index, step, module)
    for instrument in instruments:
        instrument.end()


def verify_module(module: ir.Module) -> None:
    """Check every op of ``module``: upstream's rules, then pith's, which look at types and attributes too.

    Errors: :class:`pith.IRError`; what is wrong has been emitted as diagnostics.
    """
    from pith import dialect

    try:
        valid = module.operation.verify() and dialect.verify_module(module)
    except ir.MLIRError as e:
        raise IRError("the module does not verify") from e
    if not valid:
        raise IRError("the module does not verify")


def _run_step(step: Step, module: ir.Module, *, verify: bool, forward: bool) -> None:
    with module.context, collect(module.context, forward=forward) as diagnostics:
        try:
            if isinstance(step, PithStep):
                _run_pass(step, module, verify)
            else:
                _run_manager(step, module, verify)
        except (Error, ir.MLIRError) as e:
            raise _failure(step, e, diagnostics) from e
        except Exception as e:
            e.add_note(f"in pass {step.text!r}")
            raise


def _run_manager(step: UpstreamStep, module: ir.Module, verify: bool) -> None:
    manager = PassManager.parse(step.text, module.context)
    manager.enable_verifier(verify)
    manager.run(module.operation)


def _run_pass(step: PithStep, module: ir.Module, verify: bool) -> None:
    name = module.operation.name
    if name != "builtin.module":
        raise PassError(f"runs on builtin.module, not on {name!r}", hint="wrap the input in a module")
    with ir.Location.unknown():
        step.pass_.run(module)
    if verify:
        verify_module(module)


def _failure(step: Step, error: Error | ir.MLIRError, diagnostics: list[Diagnostic]) -> PassError:
    """The :class:`pith.PassError` for ``step``: the error's own text and the diagnostics it does not repeat."""
    said, where, hint = (error.message, error.where, error.hint) if isinstance(error, Error) else ("", None, None)
    told = [d for d in diagnostics if d.severity == "error" and d.message != said]
    lines = [said, *map(str, told)] if said else list(map(str, told)) or [str(error)]
    text = "\n  ".join(line for line in lines if line)
    failure = PassError(f"pass {step.name!r} failed: {text}", where=where, hint=hint)
    failure.diagnostics = tuple(diagnostics)
    return failure


def _singles(step: Step, context: ir.Context) -> Iterator[Step]:
    """``step`` as steps of one pass each; upstream's named pipelines are opened up."""
    if isinstance(step, PithStep):
        yield step
        return
    for element in step.elements:
        for leaf in _leaves(parse_syntax(f"{step.anchor}({element})")):
            single = UpstreamStep(step.anchor, (leaf,))
            opened = list(_opened(single, context))
            yield from opened if len(opened) > 1 else [single]


def _opened(step: UpstreamStep, context: ir.Context) -> Iterator[UpstreamStep]:
    """The passes upstream makes of ``step``, unless it prints them in a form it does not read."""
    try:
        leaves = list(_leaves(parse_syntax(str(PassManager.parse(step.text, context)))))
        singles = [UpstreamStep(step.anchor, (leaf,)) for leaf in leaves]
        for single in singles:
            PassManager.parse(single.text, context)
    except (PipelineError, ValueError):
        return
    yield from singles


def _leaves(tree: NestNode) -> Iterator[str]:
    for node in tree.children:
        if isinstance(node, NestNode):
            yield from (f"{node.anchor}({leaf})" for leaf in _leaves(node))
        else:
            yield str(node)
