"""GPU kernels on the CPU: ops of gpu, nvgpu and nvvm as calls of ``runtime/emulator``.

``compile`` goes from a module to kernels on the CPU. ``outline`` takes kernels out of their module, ``ops`` is the
table of what replaces which op: ``ids``, ``warp``, ``matrix``, ``wgmma``, ``copies``, ``boxes`` (TMA), ``approximate``.
``context`` makes the calls, with ``words`` and ``memory`` for their arguments; ``checks`` guards memory accesses.
"""
