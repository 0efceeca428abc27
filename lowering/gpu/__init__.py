"""pith -> gpu: the ops of a function become ``gpu.func`` kernels, launches and PTX.

``host`` is the side that launches, ``converters`` the table of ops, ``describe`` what a launcher needs to know.
Products (``product``) are one mechanism: an index stream per role x a dense tile body x tiles in shared memory.
``structured`` feeds static formats to it, ``patterns`` makes the lists of run-time sparsity; ``sparse`` walks the
entries of CSR-like operands, ``attention`` fuses softmax between two products, ``linalg`` has every other op.
``emulate`` runs the kernels on the CPU.
"""

from .compile import GpuArtifact, compile_ptx
from .describe import describe_program

__all__ = ["GpuArtifact", "compile_ptx", "describe_program"]
