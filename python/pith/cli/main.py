"""``pith``: the demo, the compiler, kernels as files, and questions about matrices and this machine."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .status import exit_status

#: Subcommand -> one line about it; each is a module of this package with ``configure`` and ``run``.
COMMANDS = {
    "demo": "run a pruned sentence encoder through pith and compare it with torch",
    "compile": "compile an MLIR file or a PyTorch module to a kernel file, PTX, or the IR of a level",
    "run": "run a kernel file, an MLIR file or a PyTorch module on arrays",
    "explain": "say what each op of a program becomes, and why",
    "inspect": "describe a sparse matrix or the weights of a model, and what each format would cost",
    "bench": "time a product beside its prediction, or fit predictions to this machine",
    "cache": "show or clear the kernel cache",
    "doctor": "check this installation",
}

_EPILOG = """exit status: 0 on success, 1 after an error or a failed check, 2 for a wrong command line.
PITH_DEBUG=1 shows the traceback of an error."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``pith``; returns its exit status."""
    args = _parser().parse_args(argv)
    return exit_status("pith", lambda: importlib.import_module(f".{args.command}", __package__).run(args))


def _parser() -> argparse.ArgumentParser:
    from pith import __version__

    parser = argparse.ArgumentParser(
        prog="pith",
        description="A compiler for sparse tensors. `pith COMMAND --help` has examples; pith-opt runs single passes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pith {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        module = importlib.import_module(f".{name}", __package__)
        sub = commands.add_parser(
            name, help=line, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.configure(sub)
    return parser


if __name__ == "__main__":
    sys.exit(main())
