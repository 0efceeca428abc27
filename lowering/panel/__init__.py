"""Matrix products on a CPU: packed panels, index streams, register tiles. One module per part; here is which.

Who knows GotoBLAS or BLIS finds their loops here, with a stream of coordinates where they count:

==============  ==============================================================================================
rows cols reds  the dimensions M, N and K of a product; ``red``, of reduction, is the contracted one
panel           a packed sliver of the right operand: ``lanes`` (NR) columns, a row per contracted coordinate
register tile   accumulators of ``rows`` (MR) by ``lanes`` (NR) elements: the micro-kernel
strip           contracted coordinates (KC) of one pass over the rows, so that a panel's part of them stays in L1
chunk           rows (MC) of one task; a task is what one thread takes
unit            a coordinate of the outermost level of a format, with all of its rows (1, or those of a block)
stream          what visits stored coordinates and hands elements to the tile
walk            a loop over all of a dimension, or over a run-time list of indices in it
==============  ==============================================================================================

Both kinds of products: ``variant`` (tile, strip and chunk sizes, no MLIR), ``arithmetic`` (types of operands and sums),
``pack`` (into panels), ``windows`` (panels packed from an image, with ``window_masks`` or ``window_runs``), ``batch``
(one matrix of many), ``parts`` (rows per thread), ``ahead`` (prefetches), ``write`` (finished tiles to
memory), ``address`` (rows that coordinates pick).

A stored operand times a dense one: ``emit`` is the whole loop nest, and the place to start.

- ``roles`` says what a format's levels are to the product, ``register_tile`` chooses the tile, ``strips`` its strips of
  compressed levels, ``sources`` what panels are packed from.
- ``rows`` passes over the rows of a chunk, ``rows_ahead`` asks for what they store, ``results`` keeps sums between
  strips; ``scatter`` does for formats that visit rows in no order.
- ``stream`` visits stored elements, with ``members`` (positions on the way down), ``runs`` (entries of a compressed
  level), ``masks`` (entries that rows share in part); ``tile`` multiplies them.
- ``widen`` converts narrow values, ``decoder`` those with scales.
- One column: ``lanes`` puts stored elements into the lanes, through ``lane_stream``, ``entries`` and ``gather``.

Dense operands, whole or along run-time lists: ``listed`` is the loop nest, ``listed_task`` what a task of it does.

- ``loops`` and ``walk`` say what is walked, ``blocking`` sizes tasks, ``compact`` copies what lists name of the left
  operand.
- ``dense_product`` multiplies a chunk by packed panels, ``dense_tile`` is its register tile.
- Packed while multiplied: ``unpacked`` and ``pack_along`` (a panel by the first tile of rows that meets it),
  ``pack_ahead`` (the next panel). Blocks of contracted coordinates, the next of which is fetched meanwhile: ``cut``,
  ``cut_product`` and ``next_block``.
- Nothing packed: ``few_rows``; ``few_dots``, ``dense_column`` and ``quantized_dots`` on the tiles of ``dots``; ``few``
  is what the first two share.
- ``listed_windows``: convolutions. ``listed_rest`` and ``rest``: rows that no list names. ``firsts``: who
  meets a row first of those whose results are added. ``blocks``: blocks of rows with contracted coordinates of their
  own.
"""
