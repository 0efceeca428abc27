"""Every other structured op: elementwise maps, reductions, moves, transposes and views.

``structured_ops`` decides which kernel a linalg op becomes: one of ``product`` or ``sparse``, or here ``elementwise``,
``reduce`` (with ``combiners``), or one for a group of ops that need only each other's row (``row_groups`` finds them,
``rows`` is their kernel). ``moves`` and ``views`` take the ops of ``tensor``, ``fill`` has the kernels of fills and
copies, ``transpose`` those that bring matrices into the order in which ``sparse`` reads them.

``loops`` are ops as loop nests, ``kernel_values`` what a kernel is given. ``arithmetic`` lowers scalar ops; functions
are ``formulas`` in f32 (``singles``) and f64 (``doubles``).
"""
