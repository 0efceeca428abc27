"""Kinds of command-line arguments that several commands take."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number above zero.

    >>> positive("64")
    64
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expects a positive number, got {text!r}")
    return int(text)
