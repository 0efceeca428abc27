"""Every other structured op: elementwise maps, reductions, moves, transposes and views."""
