"""Reading and writing sparse tensors: Matrix Market, SMTX and .npz."""

from .files import read, write

__all__ = ["read", "write"]
