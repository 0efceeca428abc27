"""Run the MiniLM sentence encoder on 64 sentences, its feed-forward weights pruned and compiled by pith.

Compares the embeddings with the same pruned model in torch and with the dense model, times all
three, and writes the IR of every level. Then all sentences as one padded batch: pith takes the padding
out and is timed beside torch on the padded batch and on one sentence at a time. Needs the extra:
pip install 'pith-mlir[demo]'. Exit status 1 when the embeddings differ from torch's.
"""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith demo``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the report")
    parser.add_argument("--layers", type=int, default=6, metavar="N", help="layers to prune and compile (default: 6)")
    parser.add_argument(
        "--format", default="C1(3:4)->C0(2:4)", metavar="F", help="format of the weights (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="T", help="threads of torch and pith (default: all)")
    parser.add_argument("--ir-dir", metavar="DIR", help="where the IR goes (default: demo-ir in the cache directory)")
    parser.add_argument("--sentences", type=int, default=64, metavar="N", help="how many sentences (default: 64)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timing rounds (default: 5)")


def run(args: argparse.Namespace) -> int:
    """Run the demo and print what came out."""
    from ..demo.measure import Options, run
    from ..demo.report import to_json, to_text

    options = Options(args.layers, args.format, args.threads, args.ir_dir, args.sentences, args.rounds)
    with _Progress() as progress:
        result = run(options, progress)
    sys.stdout.write(to_json(result) + "\n" if args.json else to_text(result))
    return 0 if result.passed else 1


class _Progress:
    """One line on a terminal's stderr that is overwritten by the next and gone at the end."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{text} ...")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
