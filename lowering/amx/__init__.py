"""Matrix products on AMX tiles: load sparse, compute dense.

``match`` says which products run on tiles and how their sparse side reaches them, ``unit`` knows the
tile types and instructions of an element type, ``pack`` lays out the dense side, ``source`` and
``expand`` provide the tiles of the sparse side, ``emit`` puts the kernel together.
"""
