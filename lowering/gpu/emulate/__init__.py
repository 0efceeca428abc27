"""GPU kernels on the CPU: ops of gpu, nvgpu and nvvm as calls of ``runtime/emulator``.

``context`` makes the calls, ``outline`` takes kernels out of their module, ``checks`` guards memory accesses, and
``ids``, ``warp``, ``matrix`` and ``copies`` replace ops (the table is in ``ops``).
"""
