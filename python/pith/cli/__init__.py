"""The commands ``pith-opt`` and ``pith``."""
