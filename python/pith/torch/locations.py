"""Source lines: from PyTorch's stack traces into MLIR locations, and back out of them."""

from __future__ import annotations

import os
import re
import traceback

import torch

from .._mlir import ir

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = os.path.dirname(torch.__file__) + os.sep
_PITH = os.path.dirname(os.path.dirname(__file__)) + os.sep


def keep_model_frames(graph: torch.fx.Graph) -> None:
    """Strip the stack trace of every node down to frames of the model's own files.

    Nodes without one (arguments, shape arithmetic) take the trace of the node before them, those
    at the top that of the first node that has one.
    """
    nodes = list(graph.nodes)
    traces = [_model_trace(node) for node in nodes]
    last = next(filter(None, traces), None)
    for node, trace in zip(nodes, traces):
        last = trace or last
        if last:
            node.meta["stack_trace"] = last


def _model_trace(node: torch.fx.Node) -> str:
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    return "\n".join(f'File "{file}", line {line}, in forward' for file, line in frames if is_model_file(file))


def ops_at(graph: torch.fx.Graph, line: str | None) -> list[str]:
    """Distinct PyTorch ops whose innermost model frame is ``line`` (``file:line``), in order."""
    ops: dict[str, None] = {}
    for node in graph.nodes:
        name = str(node.target).removesuffix(".default")
        if line and name.startswith(("aten.", "prims.")) and "sym_" not in name and line_of_node(node) == line:
            ops.setdefault(name)
    return list(ops)


def line_of_node(node: torch.fx.Node) -> str | None:
    """``file:line`` of a node's innermost frame, that of the model after :func:`keep_model_frames`."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    return ":".join(frames[-1]) if frames else None


def is_model_file(file: str) -> bool:
    """True for files that are neither PyTorch's nor pith's."""
    return not file.startswith((_TORCH, _PITH, "torch" + os.sep, "<"))


def raised_at(error: BaseException) -> str | None:
    """``file:line`` of the innermost frame of the model that ``error`` was raised through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_model_file(f.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def line_of(location: ir.Location) -> str | None:
    """``file:line`` of the innermost frame of ``location``, or None when it has no file."""
    if isinstance(location, ir.FileLineColLoc):
        return f"{location.filename}:{location.start_line}"
    if isinstance(location, ir.CallSiteLoc):
        return line_of(location.callee) or line_of(location.caller)
    if isinstance(location, ir.NameLoc):
        return line_of(location.child_loc)
    if isinstance(location, ir.FusedLoc):
        return next((line for loc in location.locations if (line := line_of(loc))), None)
    return None


def source_lines(module: ir.Module) -> tuple[str, ...]:
    """Distinct source lines of the ops of ``module``, in order."""
    lines: dict[str, None] = {}

    def visit(op: ir.Operation) -> ir.WalkResult:
        line = line_of(op.location)
        if line is not None:
            lines.setdefault(line)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return tuple(lines)
