"""``pith.attention``: what a query may see, the program, its gradient, the same on a GPU."""
