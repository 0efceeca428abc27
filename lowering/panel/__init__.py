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

``stored`` has what a stored operand times a dense one takes, ``dense`` what dense operands do, whole or along run-time
lists. Both use what is here: ``variant`` (tile, strip and chunk sizes, no MLIR), ``roles`` (what a format's levels are
to the product), ``strips`` (of compressed levels), ``paired`` (who multiplies in pairs), ``arithmetic`` (types of
operands and sums), ``decoder`` (values with scales), ``loops`` and ``walk`` (what is walked), ``pack`` (into panels),
``windows`` (panels packed from an image, with ``window_masks`` or ``window_runs``), ``batch`` (one matrix of many),
``parts`` (rows per thread), ``ahead`` (prefetches), ``write`` (finished tiles to memory), ``address`` (rows that
coordinates pick).
"""
