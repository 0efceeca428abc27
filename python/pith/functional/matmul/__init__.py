"""``pith.matmul``: stored operands, quantised ones, stacks; the plan and the dense rivals."""
