"""``pith.dynamic``: products of operands whose zeros only run time knows.

``dynamic`` is what users call. ``sampling`` (by a kernel of ``sample_ir``) looks at some blocks of the operand,
``choice`` asks the tile database what that makes fastest, ``bound`` runs it: by ``run`` (micro-tiles, packed, or in
place by the kernel of ``ir``) or by ``dense``. ``memory`` keeps choices for calls alike, ``trial`` compares what was
chosen with dense, ``report`` explains. ``device`` is all of it on a GPU.
"""
