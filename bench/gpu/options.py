"""Options of several commands: which cases are meant, and for which chip; what means nothing is refused at once."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from .cases import CASES, Case


def chosen(texts: Sequence[str]) -> list[Case]:
    """The cases whose name holds one of the texts; all of them when there are none.

    >>> [case.name for case in chosen(["attention"])]
    ['attention-causal', 'attention-window']
    """
    return [case for case in CASES if not texts or any(text in case.name for text in texts)]


def add_only(parser: argparse.ArgumentParser, *others: str) -> None:
    """The option ``--only``: every text of it means a case, or is one of ``others``."""

    def known(text: str) -> str:
        if text in others or chosen([text]):
            return text
        names = textwrap.fill(", ".join([*others, *(case.name for case in CASES)]), 110, break_on_hyphens=False)
        raise argparse.ArgumentTypeError(f"no case matches {text!r}; there are:\n{names}")

    more = f", or {' or '.join(others)}" if others else ""
    parser.add_argument(
        "--only", action="append", default=[], type=known, metavar="TEXT",
        help=f"the cases whose name holds it{more}; may be repeated (all)",
    )  # fmt: skip


def add_target(parser: argparse.ArgumentParser, what: str) -> None:
    """The option ``--target``: a chip that pith compiles for; needs the compiler."""
    from pith.lowering.targets import CHIPS, TF32

    def known(text: str) -> str:
        if text.removesuffix(TF32) in CHIPS:
            return text
        raise argparse.ArgumentTypeError(f"unknown chip {text!r}; there are: {', '.join(sorted(CHIPS))}")

    parser.add_argument("--target", default="sm_90", type=known, metavar="CHIP", help=f"{what} (%(default)s)")
