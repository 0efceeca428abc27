"""Pruning, packing, checking and repacking of stored tensors, as loops over their levels.

``convert_pith_storage`` is the pass, ``ops`` lowers each op. ``tree`` is a dense tensor seen through a format, ``edge``
its padding, ``scores`` what pruning ranks. Packing: ``compress`` makes the buffers, ``walk`` goes through the levels,
``choose`` picks the coordinates of a group, ``sinks`` count or write what was found. With AVX-512, ``runs`` finds
groups that lie side by side, and ``run_step`` packs vectors of them: ``groups`` chooses in all of them at once, with
``bits``, and ``bit_writer`` writes the coordinates. Pruning: ``prune``, by ``prune_walk`` or, side by side in
``lanes``, ``prune_lanes``. ``validate`` finds what breaks a format, ``repack`` takes new values, with ``take``.
"""
