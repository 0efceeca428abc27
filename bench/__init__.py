"""Benchmarks of pith against its peers: ``python -m bench --help``, from the repository's root."""
