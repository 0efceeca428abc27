"""Reproducers: one file with the IR before a failing pass and the pipeline that was left to run.

The form is upstream's, so ``mlir-opt --run-reproducer`` reads those without passes of pith::

    module { ... }
    {-#
      external_resources: {
        mlir_reproducer: { pipeline: "builtin.module(...)", disable_threading: true, verify_each: true }
      }
    #-}
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from typing import TYPE_CHECKING

from pith._mlir import ir
from pith.errors import PipelineError
from pith.files import replacing

from .instruments import Instrument

if TYPE_CHECKING:
    from . import Pipeline, Step

_SECTION = """\
  external_resources: {{
    mlir_reproducer: {{
      pipeline: "{pipeline}",
      disable_threading: true,
      verify_each: {verify}
    }}
  }}
"""
_ENTRY = re.compile(r"mlir_reproducer\s*:\s*\{(?P<body>(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*)\}", re.DOTALL)
_PIPELINE = re.compile(r"pipeline\s*:\s*\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_VERIFY = re.compile(r"verify_each\s*:\s*(true|false)")


@dataclasses.dataclass
class Reproducer(Instrument):
    """Keep ``path`` ready to replay the next pass, so that even a crash of the process leaves it behind.

    The file is written before every pass and removed after the last.
    """

    path: str
    verify: bool = True

    granular = True

    def begin(self, pipeline: Pipeline) -> None:
        """Remember the pipeline."""
        self._pipeline = pipeline

    def before_pass(self, index: int, step: Step, module: ir.Module) -> None:
        """Write the module and the pipeline from ``step`` on."""
        rest = dataclasses.replace(self._pipeline, steps=self._pipeline.steps[index:])
        text = format_reproducer(module, str(rest), self.verify)
        with replacing(pathlib.Path(self.path)) as file:
            file.write(text.encode())

    def end(self) -> None:
        """Remove the file: nothing failed."""
        if self._pipeline.steps:
            os.unlink(self.path)


def format_reproducer(module: ir.Module, pipeline: str, verify: bool = True) -> str:
    """The text of a reproducer that runs ``pipeline`` on ``module``."""
    asm = module.operation.get_asm(enable_debug_info=True).rstrip()
    escaped = pipeline.replace("\\", "\\\\").replace('"', '\\"')
    section = _SECTION.format(pipeline=escaped, verify=str(verify).lower())
    if asm.endswith("#-}"):
        return f"{asm.removesuffix('#-}').rstrip()},\n{section}#-}}\n"
    return f"{asm}\n\n{{-#\n{section}#-}}\n"


def read_reproducer(text: str, name: str) -> tuple[str, bool]:
    """The pipeline and ``verify_each`` stored in ``text``. Errors: :class:`pith.PipelineError` when there is none.

    Example:
        >>> read_reproducer('{-# external_resources: { mlir_reproducer: { pipeline: "any(cse)" } } #-}', "f.mlir")
        ('any(cse)', True)
    """
    entry = _ENTRY.search(text, max(0, text.rfind("{-#")))
    pipeline = _PIPELINE.search(entry["body"]) if entry else None
    if entry is None or pipeline is None:
        hint = "reproducers are written by --mlir-pass-pipeline-crash-reproducer=FILE"
        raise PipelineError("the input holds no reproducer (an mlir_reproducer resource)", where=name, hint=hint)
    verify = _VERIFY.search(entry["body"])
    return re.sub(r"\\(.)", r"\1", pipeline[1]), verify is None or verify[1] == "true"
