"""Matrix products on tiles: load sparse, compute dense.

``match`` says which products run on tiles and how their sparse side reaches them (``choice``, without MLIR).
``unit`` is what multiplies tiles of an element type: the registers of AMX, or vectors and dot instructions
(``dots``; ``named_unit`` where lists name what is multiplied, which ``named`` makes). ``pack`` lays out the dense
side, ``source`` and ``expand`` provide the tiles of the sparse side, ``block`` holds sums in registers, ``emit`` puts
the kernel together; ``listed`` does for run-time patterns.
"""
