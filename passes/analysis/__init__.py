"""Analyses: functions from IR (or plain numbers) to frozen dataclasses, usable without a pass manager.

- IR in general: ``traversal``, ``structured`` (linalg ops as data), ``encodings`` (where tensors have formats),
  ``equal_sizes``, ``padding``.
- Bodies: ``multiply_add`` (sums of products), ``vanishing`` (what a zero does to a result). Ops: ``products``,
  ``convolution``.
- Run-time sparsity: ``pit_axes`` (which axes may be permuted; ``pit_groups``: of several ops together), ``dynamic``
  (where it may occur). ``workload`` is an op as the cost models see it: ``machine_cost``, ``gpu_cost``, and
  ``tile_cost`` with the measured ``tile_tables``; ``cost_model`` picks one by target.
"""
