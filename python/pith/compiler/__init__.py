"""From a program at the pith level to a kernel that runs: compile, cache, call, inspect."""
