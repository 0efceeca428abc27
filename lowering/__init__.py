"""Lowerings from pith to sparse_tensor / linalg / vector / gpu, targets, and named pipelines.

:data:`PASSES` is the explicit table of conversion passes, :data:`PIPELINES` that of the named
pipelines, each a textual pipeline over pith's and upstream's passes.
"""

#: name in a textual pipeline -> "module:Class" (imported when the pass is first named).
PASSES: dict[str, str] = {
    "convert-pith-patterns-to-linalg": "pith.lowering.convert_pith_patterns:ConvertPithPatternsPass",
    "convert-linalg-to-parallel-rows": "pith.lowering.convert_linalg_to_rows:ConvertLinalgToParallelRowsPass",
    "convert-pith-to-gpu": "pith.lowering.convert_pith_to_gpu:ConvertPithToGpuPass",
    "convert-pith-to-loops": "pith.lowering.convert_pith_to_loops:ConvertPithToLoopsPass",
    "convert-pith-to-sparse-tensor": "pith.lowering.convert_pith_to_sparse_tensor:ConvertPithToSparseTensorPass",
    "pith-assemble-arguments": "pith.lowering.assemble_arguments:AssembleArgumentsPass",
    "pith-gpu-module-to-binary": "pith.lowering.gpu_module_to_binary:GpuModuleToBinaryPass",
}

#: name of a pipeline -> its text.
PIPELINES: dict[str, str] = {
    # The default chip is sm_90; name the passes one by one to give convert-pith-to-gpu another target.
    "pith-to-gpu": "pith-assemble-arguments,convert-pith-to-gpu,canonicalize,cse",
    "gpu-to-nvvm": (
        "gpu.module(convert-scf-to-cf,convert-nvgpu-to-nvvm,convert-vector-to-scf,convert-vector-to-llvm,"
        "expand-strided-metadata,convert-math-to-llvm,convert-gpu-to-nvvm,convert-nvvm-to-llvm,"
        "canonicalize,cse,reconcile-unrealized-casts)"
    ),
    "pith-to-nvvm": "pith-to-gpu,gpu-to-nvvm",
    "pith-to-ptx": "pith-to-nvvm,pith-gpu-module-to-binary",
}

__all__ = ["PASSES", "PIPELINES"]
