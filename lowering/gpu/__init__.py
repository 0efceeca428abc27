"""pith -> gpu: the ops of a function become ``gpu.func`` kernels, launches and PTX.

The mechanism of products is one: an index stream per role (``tiles.Axis``, ``tiles.PatternAxis``, or the levels of a
format in ``staging``) x a dense tile body (``bodies``) x tiles in shared memory (``staging``), put
together by ``kernel``. ``match`` reads the product off an op, ``plan`` picks body and tile. ``host`` is the side that
launches, ``converters`` the table of ops, ``describe`` what a launcher needs to know.
"""

from .compile import GpuArtifact, compile_ptx
from .describe import describe_program

__all__ = ["GpuArtifact", "compile_ptx", "describe_program"]
