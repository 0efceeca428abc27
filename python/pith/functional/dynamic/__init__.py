"""``pith.dynamic``: zeros known at run time; sampling, the choice, what was chosen before, the report."""
