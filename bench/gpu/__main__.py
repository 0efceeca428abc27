"""``python -m bench.gpu``: pack the kernels for a GPU machine, or check them under emulation here."""

from __future__ import annotations

import sys

from . import check, pack

_COMMANDS = {"pack": pack.main, "check": check.main}


def main(argv: list[str]) -> int:
    """The command named first, with the arguments after it."""
    if not argv or argv[0] not in _COMMANDS:
        print("usage: python -m bench.gpu pack|check [--help]", file=sys.stderr)
        return 2
    return _COMMANDS[argv[0]](argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
