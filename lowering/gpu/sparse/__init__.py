"""Products with tensors stored entry by entry (CSR, CSC, COO, DCSR), and products sampled where a tensor stores.

``match`` finds them, ``convert`` makes kernels and launches of them: ``gather`` where entries of a row are neighbours
(``merge`` cuts equal shares, ``lanes`` is a team of threads at a row), ``scatter`` where those of a column are,
``diagonals``, and ``sampled``. ``climb`` finds the coordinates of a stored element.
"""
