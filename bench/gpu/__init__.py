"""Measurements on a GPU: kernels compiled here travel as files and are timed there, beside the vendors' libraries."""
