"""Matrix products on tiles: load sparse, compute dense.

``match`` says which products run on tiles and how their sparse side reaches them (``choice``, without MLIR).
``unit`` is what multiplies tiles of an element type: the registers of AMX, or vectors and dot instructions
(``dots``; ``named_unit`` where lists name what is multiplied, which ``named`` makes). ``pack`` lays out the dense
side, ``source`` provides the tiles of the sparse side, which ``expand`` makes where blocks are no tiles
(``expand_groups``: of the small groups that ``groups`` finds, in vectors), ``block`` holds sums in registers, ``emit``
puts the kernel together; ``listed`` does for run-time patterns (``next_panels``: packed while others are multiplied;
``results``: where sums go). ``special`` keeps infinities and NaNs away from elements that are not stored.
"""
