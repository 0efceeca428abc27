"""From a program at the pith level to a kernel that runs: compile, cache, call, inspect.

- ``compile`` is :func:`pith.compile`. On CPUs ``build`` lowers a program in one of ``contexts`` and makes its object;
  ``kernel`` is what is called, ``params`` its arguments as users see them, ``sizes`` and ``size_terms`` the rules
  for dynamic ones, ``explain`` its report.
- PyTorch programs: ``module`` binds ``weights`` to a kernel; ``rivals`` decides which stay dense, ``marked`` how
  products of ``pith.dynamic`` operands run.
- GPUs: ``gpu_build`` compiles, ``gpu`` is what is called; ``emulated`` and ``gpu_host`` do without a device.
- Files: ``bundle``, of ``bundle_cpu`` and ``bundle_gpu`` kernels, whose arrays are ``bundle_sections`` of a
  ``container``.
- ``packing`` prunes and packs by compiled kernels, whose IR names buffers by ``stored_text``; ``entries`` picks a
  function of several, ``emit`` prints assembly, ``collector`` keeps the garbage collector out of compilations,
  ``widening`` tells of narrow types that no instruction multiplies.
"""
