"""pith -> gpu: the ops of a function become ``gpu.func`` kernels, launches and PTX.

``convert_pith_to_gpu`` is the pass, ``convert`` what it does to a function. ``host`` is the side that launches,
``function`` makes a kernel, ``converters`` is the table of ops, ``outputs`` where results go, ``choice`` branches on
what only the device knows. ``describe`` says what a launcher needs to know, ``compile`` goes from a module to PTX.
Products (``product``) are one mechanism: an index stream per role x a dense tile body x tiles in shared memory.
``structured`` feeds static formats to it, ``patterns`` makes the lists of run-time sparsity; ``sparse`` walks the
entries of CSR-like operands, ``attention`` fuses softmax between two products, ``linalg`` has every other op; ``warp``
is for all of them. Passes behind it: ``convert_math_to_intrinsics``, ``pass_tensor_maps_by_value``,
``gpu_module_to_binary``. ``emulate`` runs the kernels on the CPU, by the pass ``emulate_gpu``.
"""

from .compile import GpuArtifact, compile_ptx
from .describe import describe_program

__all__ = ["GpuArtifact", "compile_ptx", "describe_program"]
