"""Run-time patterns as values: which micro-tiles of some axes are present (:class:`Pattern`)."""

from .pattern import Pattern

__all__ = ["Pattern"]
