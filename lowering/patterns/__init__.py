"""Patterns known at run time, on a CPU: made, combined, and what is computed where they name something.

``convert_pith_patterns`` and ``convert_pith_tiles`` are the passes; where there is something to lower, they import
``ops`` and ``tiles``, which lower it. ``lists`` is a pattern in memory: coordinates.

- Making one: ``detect`` (which elements are not zero) reads rows by ``detect_view`` as bits of words, ``presence`` and
  ``scan``; ``topk``; ``indices`` (lengths, experts); ``sets`` (of other patterns). ``collect`` appends from many
  threads. ``sample`` counts micro-tiles, for the choice of one.
- ``pith.pit_tile`` around a product, on packed panels: ``products`` says which one it is and what each pattern lists,
  ``body`` what is done with the sums, ``flatten`` joins batches. ``walks`` makes loops of the lists: ``sort`` groups
  coordinates by counting, ``grouped`` takes those that stand in groups, ``rest`` lists what no list names.
- Any other ``pith.pit_tile``: ``tile`` is the loop nest around one dense body, ``tile_io`` gathers and scatters for it,
  by ``slices``.
"""
