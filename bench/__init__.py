"""Benchmarks of pith against its peers: ``python -m bench --help``, from the repository's root."""

import os

# NumPy computes references, never what is timed. With threads of its own its library goes on to spin for some 50 ms
# beside the two that are timed then: calls that meet at barriers took 4 ms (a time slice) more, on two processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
