"""``python -m bench.gpu``, from the repository root: pack the kernels for a GPU machine, or check them here."""

from __future__ import annotations

import argparse
import importlib
import sys

#: Command -> one line about it; each is a module of this package with a ``main``.
COMMANDS = {
    "check": "run every case under emulation, at odd sizes, against float64",
    "pack": "compile every kernel into one file for a machine with a GPU",
}

_EPILOG = """examples:
  python -m bench.gpu check                          every case; no GPU is needed
  python -m bench.gpu check --only pit-32x1          some cases
  python -m bench.gpu pack                           build/gpu_bench.tar.gz
  python -m bench.gpu pack --only dense -o d.tar.gz  a smaller package
  tar xf gpu_bench.tar.gz && python gpu_bench/run.py -o results    on the GPU machine

COMMAND --help lists a command's options; bench/gpu/README.md says how it measures.
exit status: 0 on success, 1 after a failed check, 2 for a wrong command line."""


def main(argv: list[str]) -> int:
    """The command named first, with the arguments after it."""
    command = _parser().parse_args(argv[:1]).command
    return importlib.import_module(f".{command}", __package__).main(argv[1:])


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<6} {line}" for name, line in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        usage="python -m bench.gpu [-h] COMMAND ...",
        description=f"Check pith's GPU kernels and pack them. Run it from the repository root.\n\ncommands:\n{lines}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
