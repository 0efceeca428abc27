"""``pith.einsum``: the equation, its loops, axes with patterns, the program."""
