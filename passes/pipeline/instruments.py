"""Observers of a running pipeline: IR dumps and timing."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pith._mlir import ir

if TYPE_CHECKING:
    from . import Pipeline, Step


class Instrument:
    """Called around every step of a pipeline; the default does nothing.

    ``granular`` asks for upstream passes one by one instead of in runs.
    """

    granular = False

    def begin(self, pipeline: Pipeline) -> None:
        """``pipeline`` is about to run; the indices of the other calls are those of its steps."""

    def end(self) -> None:
        """The whole pipeline succeeded."""

    def before_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """``step`` is about to run."""

    def after_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """``step`` succeeded."""

    def after_failure(self, index: int, step: Step, module: ir.Module) -> None:
        """``step`` failed; the module is what it left behind and may not verify."""


def pass_names(step: Step) -> list[str]:
    """The names a user may call ``step`` by: ``func.func(cse)`` is ``cse``."""
    return re.findall(r"[^(),]+(?=[,)]|$)", step.name)


@dataclasses.dataclass
class IRPrinter(Instrument):
    """Print the module around passes, like ``mlir-opt --mlir-print-ir-*``.

    Args:
        before, after: True for every pass, or the names of the passes.
        on_change: print after a pass only if it changed the module.
        on_failure: print after a pass only if it failed.
        tree_dir: write files ``<tree_dir>/builtin_module_<symbol>/<index>_<pass>.mlir`` instead of stderr.
        render: module -> text.
    """

    before: bool | frozenset[str] = frozenset()
    after: bool | frozenset[str] = frozenset()
    on_change: bool = False
    on_failure: bool = False
    tree_dir: str | None = None
    render: Callable[[ir.Module], str] = str

    granular = True

    def __post_init__(self) -> None:
        self._fingerprint = b""

    def before_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """Print if asked to, and remember the module where changes matter."""
        if _selected(self.before, step):
            self._print("Before", index, step, module)
        if self.on_change:
            self._fingerprint = _fingerprint(module)

    def after_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """Print if asked to."""
        if not _selected(self.after, step) or self.on_failure:
            return
        if self.on_change and self._fingerprint == _fingerprint(module):
            return
        self._print("After", index, step, module)

    def after_failure(self, index: int, step: Step, module: ir.Module) -> None:
        """Print what the failed pass left behind."""
        if self.on_failure or _selected(self.after, step):
            self._print("After", index, step, module, " Failed")

    def _print(self, when: str, index: int, step: Step, module: ir.Module, failed: str = "") -> None:
        text = f"// -----// IR Dump {when} {step.name}{failed} //----- //\n{self.render(module)}\n"
        if self.tree_dir is None:
            sys.stderr.write(text)
            return
        op = module.operation
        symbol = op.attributes["sym_name"].value if "sym_name" in op.attributes else "no-symbol-name"
        folder = pathlib.Path(self.tree_dir) / f"{op.name.replace('.', '_')}_{symbol}"
        folder.mkdir(parents=True, exist_ok=True)
        suffix = "_before" if when == "Before" else "_failed" if failed else ""
        stem = re.sub(r"[^\w-]+", "_", step.name).strip("_")[:100]
        (folder / f"{index}_{stem}{suffix}.mlir").write_text(text)


def _selected(which: bool | frozenset[str], step: Step) -> bool:
    return which if isinstance(which, bool) else not which.isdisjoint(pass_names(step))


def _fingerprint(module: ir.Module) -> bytes:
    text = module.operation.get_asm(print_generic_op_form=True, enable_debug_info=True, assume_verified=True)
    return hashlib.sha256(text.encode()).digest()


@dataclasses.dataclass
class Timing(Instrument):
    """Wall time per pass and for phases measured by the caller; :meth:`report` is upstream's table."""

    entries: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    granular = True

    def __post_init__(self) -> None:
        self._begin = self._last = time.perf_counter()

    def phase(self, name: str) -> None:
        """Book the time since the last entry on ``name``."""
        now = time.perf_counter()
        self.entries.append((name, now - self._last))
        self._last = now

    def before_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """Start the clock of ``step``."""
        self._last = time.perf_counter()

    def after_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """Book ``step``, its verification included."""
        self.phase(step.name)

    def report(self) -> str:
        """The table: seconds and share of each entry in order of execution, the rest, the total."""
        total = time.perf_counter() - self._begin
        rows = [*self.entries, ("Rest", max(0.0, total - sum(t for _, t in self.entries))), ("Total", total)]
        rule = f"===-{'-' * 73}-==="
        lines = [rule, "... Execution time report ...".center(len(rule)).rstrip(), rule]
        lines += [f"  Total Execution Time: {total:.4f} seconds", "", "  ----Wall Time----  ----Name----"]
        lines += [f"  {seconds:8.4f} ({seconds / total:6.1%})  {name}" for name, seconds in rows]
        return "\n".join(lines) + "\n"
