"""Rewrites of exported graphs, before anything is decomposed: what models spell out, by one name each."""
