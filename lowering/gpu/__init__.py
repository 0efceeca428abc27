"""pith -> gpu: products over index streams become ``gpu.func`` kernels, launches and PTX.

The mechanism is one: an index stream per role (``tiles.Axis``, ``tiles.PatternAxis``, or the levels of a
format in ``staging``) x a dense tile body (``bodies``) x tiles in shared memory (``staging``), put
together by ``kernel``. ``match`` reads the product off an op, ``plan`` picks body and tile.
"""

from .compile import GpuArtifact, compile_ptx
from .launch import Extent, LaunchArgument, LaunchDescription, describe_launches

__all__ = ["Extent", "GpuArtifact", "LaunchArgument", "LaunchDescription", "compile_ptx", "describe_launches"]
