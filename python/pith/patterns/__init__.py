"""Run-time patterns as values: which micro-tiles of some axes are present (:class:`Pattern`)."""

from .detection import detect
from .pattern import Pattern
from .sampling import sample_coverage

__all__ = ["Pattern", "detect", "sample_coverage"]
