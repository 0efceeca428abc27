"""Lowerings from pith to sparse_tensor / linalg / vector / gpu, targets, and named pipelines.

:data:`PASSES` is the explicit table of conversion passes, :data:`PIPELINES` that of the named
pipelines, each a textual pipeline over pith's and upstream's passes.
"""

#: name in a textual pipeline -> "module:Class" (imported when the pass is first named).
PASSES: dict[str, str] = {
    "convert-pith-to-loops": "pith.lowering.convert_pith_to_loops:ConvertPithToLoopsPass",
    "convert-pith-to-sparse-tensor": "pith.lowering.convert_pith_to_sparse_tensor:ConvertPithToSparseTensorPass",
    "pith-assemble-arguments": "pith.lowering.assemble_arguments:AssembleArgumentsPass",
}

#: name of a pipeline -> its text.
PIPELINES: dict[str, str] = {}

__all__ = ["PASSES", "PIPELINES"]
