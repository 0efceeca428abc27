"""A stored operand times a dense one: ``emit`` is the whole loop nest, and the place to start.

- ``register_tile`` chooses the tile, ``sources`` what panels are packed from.
- ``rows`` passes over the rows of a chunk, ``rows_ahead`` asks for what they store, ``results`` keeps sums between
  strips; ``scatter`` does for formats that visit rows in no order.
- ``stream`` visits stored elements, with ``members`` (positions on the way down), ``runs`` (entries of a compressed
  level), ``masks`` (entries that rows share in part); ``tile`` multiplies them, ``pairs`` two at a time. ``spread``
  reads several values at once, ``widen`` converts narrow ones.
- One column: ``lanes`` puts stored elements into the lanes, through ``lane_stream``, ``entries`` and ``gather``;
  ``far`` fetches what is read much later.
"""
