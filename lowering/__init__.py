"""Lowerings from tensors to loops, to LLVM and to GPU kernels: where each part lies, and the tables of passes.

:data:`PASSES` is the explicit table of conversion passes, :data:`PIPELINES` that of the named
pipelines, each a textual pipeline over pith's and upstream's passes. What is in this folder:

==================  ==================================================================================================
which lowering      ``plan`` (the analysis that ``explain()`` prints), ``convert_pith_to_loops`` (the pass that picks a
                    template), ``replace_product`` (a kernel's result in the place of its ops)
templates           packages: ``sparse`` (any format, and what the others read formats with), ``panel``, ``tiled``,
                    ``sampled``, ``linalg``, ``patterns``, ``storage``, ``attention``; ``epilogue`` for all of them
pieces of IR        ``builder`` (sizes, index arithmetic, loops), ``subview``, ``transpose``, ``vectorize`` (scalar
                    bodies on vectors), ``numbers`` (sums and products of any type), ``bfloat16``, ``quantized``
memory and loops    ``bufferization``; ``share_loops`` (equal loops become calls of one function)
targets             ``targets`` (CPUs and GPUs by name), ``isa`` and ``module_isa`` (instruction sets of CPUs), ``x86``,
                    ``gpu``
levels              ``cpu`` (stages from level to level), ``retain_loop_annotations`` (what loops ask of LLVM), ``ptx``
                    (LLVM IR as text to PTX or assembly)
==================  ==================================================================================================
"""

#: name in a textual pipeline -> "module:Class" (imported when the pass is first named).
PASSES: dict[str, str] = {
    "convert-math-to-intrinsics": "pith.lowering.gpu.convert_math_to_intrinsics:ConvertMathToIntrinsicsPass",
    "convert-pith-attention-to-loops": "pith.lowering.attention.convert_pith_attention:ConvertPithAttentionPass",
    "convert-pith-patterns-to-linalg": "pith.lowering.patterns.convert_pith_patterns:ConvertPithPatternsPass",
    "convert-pith-tiles-to-panels": "pith.lowering.patterns.convert_pith_tiles:ConvertPithTilesPass",
    "convert-linalg-contractions-to-panels": (
        "pith.lowering.linalg.convert_linalg_contractions:ConvertLinalgContractionsPass"
    ),
    "convert-linalg-to-parallel-rows": "pith.lowering.linalg.convert_linalg_to_rows:ConvertLinalgToParallelRowsPass",
    "convert-pith-storage-to-loops": "pith.lowering.storage.convert_pith_storage:ConvertPithStoragePass",
    "convert-pith-vectors-to-llvm": "pith.lowering.x86.convert_pith_vectors_to_llvm:ConvertPithVectorsToLLVMPass",
    "convert-pith-to-gpu": "pith.lowering.gpu.convert_pith_to_gpu:ConvertPithToGpuPass",
    "convert-pith-to-loops": "pith.lowering.convert_pith_to_loops:ConvertPithToLoopsPass",
    "convert-pith-to-sparse-tensor": "pith.lowering.sparse.convert_pith_to_sparse_tensor:ConvertPithToSparseTensorPass",
    "convert-x86-tiles-to-llvm": "pith.lowering.x86.convert_x86_tiles_to_llvm:ConvertX86TilesToLLVMPass",
    "pith-assemble-arguments": "pith.lowering.sparse.assemble_arguments:AssembleArgumentsPass",
    "pith-protect-arguments": "pith.lowering.bufferization.protect_arguments:ProtectArgumentsPass",
    "pith-pass-tensor-maps-by-value": "pith.lowering.gpu.pass_tensor_maps_by_value:PassTensorMapsByValuePass",
    "pith-hoist-deallocations": "pith.lowering.bufferization.hoist_deallocations:HoistDeallocationsPass",
    "pith-retain-loop-annotations": "pith.lowering.retain_loop_annotations:RetainLoopAnnotationsPass",
    "pith-share-loops": "pith.lowering.share_loops:ShareLoopsPass",
    "pith-sparsify": "pith.lowering.sparse.sparsify:SparsifyPass",
    "pith-emulate-gpu": "pith.lowering.gpu.emulate_gpu:EmulateGpuPass",
    "pith-emulate-x86": "pith.lowering.x86.emulate_x86:EmulateX86Pass",
    "pith-gpu-module-to-binary": "pith.lowering.gpu.gpu_module_to_binary:GpuModuleToBinaryPass",
}

#: Dense neighbours fused, copies folded into maps, encodings where they can be read.
_FUSED = (
    "pith-hoist-sizes,func.func(convert-elementwise-to-linalg,linalg-fuse-elementwise-ops,linalg-generalize-named-ops),"
    "pith-split-products,pith-fold-copies,pith-collapse-batch,pith-propagate-encodings,pith-hoist-scales"
)

#: name of a pipeline -> its text.
PIPELINES: dict[str, str] = {
    # Tensor level: dense neighbours fused, copies folded into maps, formats settled, boundaries flat.
    # Fusion comes first, while contractions are named ops: it would pull an elementwise producer into
    # a generic contraction and recompute it for every multiply-add.
    "pith-to-linalg": (
        f"pith-form-pit-tiles,pith-guard-asserts,{_FUSED},pith-unfold-convolutions,convert-pith-attention-to-loops,"
        "pith-approximate-math,pith-assemble-arguments,cse"
    ),
    # The panel template where it applies (it is faster), upstream's sparsifier for the formats it
    # knows, loops over levels for the rest; then memrefs.
    "linalg-to-vector": (
        "pith-protect-arguments,"
        "func.func(linalg-generalize-named-ops),convert-pith-tiles-to-panels,convert-pith-patterns-to-linalg,"
        "func.func(linalg-generalize-named-ops),eliminate-empty-tensors,convert-pith-storage-to-loops,"
        "pith-guard-asserts,"
        "convert-pith-to-loops{templates=panel},convert-linalg-contractions-to-panels,"
        "convert-pith-to-sparse-tensor,convert-pith-to-loops,"
        "pith-sparsify{vl=16},"
        "canonicalize,cse,convert-linalg-contractions-to-panels,"
        "ownership-based-buffer-deallocation,canonicalize,buffer-deallocation-simplification,"
        "bufferization-lower-deallocations,convert-bufferization-to-memref,"
        "func.func(linalg-generalize-named-ops),"
        "convert-linalg-to-parallel-rows,canonicalize,cse,pith-hoist-deallocations,pith-share-loops"
    ),
    # scf.parallel becomes OpenMP before memrefs are lowered: its alloca scopes must still be structured.
    "vector-to-llvm": (
        "pith-emulate-x86{when=asked},convert-pith-vectors-to-llvm,"
        "convert-vector-to-scf,lower-affine,convert-scf-to-openmp,expand-strided-metadata,lower-affine,"
        "convert-vector-to-llvm{enable-x86=true},convert-x86-tiles-to-llvm,"
        "finalize-memref-to-llvm{use-generic-functions=true},convert-scf-to-cf,"
        "convert-openmp-to-llvm,convert-complex-to-standard,convert-complex-to-llvm,"
        "convert-math-to-llvm,convert-math-to-libm,convert-index-to-llvm,convert-ub-to-llvm,convert-arith-to-llvm,"
        "convert-func-to-llvm,convert-cf-to-llvm,"
        "reconcile-unrealized-casts,pith-retain-loop-annotations"
    ),
    "pith-to-llvm": "pith-to-linalg,linalg-to-vector,vector-to-llvm",
    # Path (a) for all that upstream can say, whatever templates exist; and path (b) for everything.
    "pith-to-llvm-by-sparsifier": (
        "pith-to-linalg,convert-pith-storage-to-loops,convert-pith-to-loops{templates=sampled},"
        "convert-pith-to-sparse-tensor,linalg-to-vector,vector-to-llvm"
    ),
    "pith-to-llvm-by-loops": (
        "pith-to-linalg,convert-pith-storage-to-loops,convert-pith-to-loops,linalg-to-vector,vector-to-llvm"
    ),
    # The tensor level of GPU programs: attention and math stay, kernels are made of them.
    "pith-to-tensors": (
        f"pith-inline-calls,pith-form-pit-tiles,{_FUSED},pith-collapse-batch{{narrow=true}},pith-assemble-arguments,cse"
    ),
    # The default chip is sm_90; name the passes one by one to give convert-pith-to-gpu another target.
    "pith-to-gpu": "pith-to-tensors,convert-pith-to-gpu,canonicalize,cse",
    "gpu-to-nvvm": (
        "convert-math-to-intrinsics,"
        "gpu.module(expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-nvgpu-to-nvvm,convert-vector-to-scf,"
        "expand-strided-metadata,convert-math-to-llvm,convert-gpu-to-nvvm,convert-nvvm-to-llvm,convert-vector-to-llvm,"
        "canonicalize,cse,reconcile-unrealized-casts),pith-retain-loop-annotations,pith-pass-tensor-maps-by-value"
    ),
    "pith-to-nvvm": "pith-to-gpu,gpu-to-nvvm",
    "pith-to-ptx": "pith-to-nvvm,pith-gpu-module-to-binary",
}

__all__ = ["PASSES", "PIPELINES"]
