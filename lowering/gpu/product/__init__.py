"""Matrix products on a GPU: one kernel template, of which every tiled product is made.

A block owns a tile of the result; a loop over k fills shared tiles of both operands some steps ahead of the body that
multiplies them. In the order of a compilation:

- ``match`` gives the dimensions of an op roles (m, n, k, batch); ``product`` converts it, ``kernel`` emits a kernel.
- ``plan`` decides body, tile and stages: from the tiles of ``menu``, cut to sizes by ``extents``; ``variants`` are the
  kernels of a plan whose copies depend on sizes that only run time knows; ``splits`` shares k among blocks.
- ``grid`` says which tile a block owns, ``tiles`` what is along each role: consecutive elements, or a list of them.
- Sources fill shared tiles: ``staging`` from dense memory (``cp.async``), ``boxes`` by the copy engine (TMA) with its
  barriers in ``mbarriers``, ``encoded`` from static formats. ``layout`` places chunks so that no two threads wait for
  a bank.
- ``pipeline`` is the loop over k. Bodies multiply: ``bodies`` (the interface, and FMAs), ``mma``, ``wgmma``.
- ``write`` takes sums to memory, with ``epilogue`` (elementwise consumers) or ``finish`` (the body of a ``pit_tile``).
- More: ``grouped`` (rows of an expert times its weights), ``overbooked`` (a head kept in shared memory, a tail
  streamed).
"""
