"""Patterns made and kept on the device: detection, sets, routing, lists and their groups.

- Making one: ``detect``, by the kernels of ``finding``, with ``flags`` (which elements of rows are present) and ``cut``
  (cells of a tensor); ``topk``; ``routing`` (lengths, experts, coordinates); ``sets``. ``bitmaps`` become lists in
  order. ``sample`` counts micro-tiles, for the choice of one.
- Reading one: ``lists`` is its memory; ``groups`` makes a list per block of another axis, ``segments`` one per group.
"""
