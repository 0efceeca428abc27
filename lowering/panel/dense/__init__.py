"""Products of dense operands, whole or along run-time lists.

``listed`` is the loop nest, ``listed_task`` what a task of it does.

- ``blocking`` sizes tasks, ``compact`` copies what lists name of the left operand.
- ``product`` multiplies a chunk by packed panels, ``tile`` is its register tile.
- Packed while multiplied: ``unpacked`` and ``pack_along`` (a panel by the first tile of rows that meets it),
  ``pack_ahead`` (the next panel). Blocks of contracted coordinates, the next of which is fetched meanwhile: ``cut``,
  ``cut_product`` and ``next_block``.
- Nothing packed: ``few_rows``; ``few_dots``, ``column`` and ``quantized_dots`` on the tiles of ``dots``; ``few`` is
  what the first two share.
- ``listed_windows``: convolutions. ``listed_rest`` and ``rest``: rows that no list names. ``firsts``: who meets a row
  first of those whose results are added. ``blocks``: blocks of rows with contracted coordinates of their own.
"""
