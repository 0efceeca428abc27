"""``pith-opt``: run passes of pith and of upstream MLIR over a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .status import exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``pith-opt``; returns its exit status (0, or 1 after a message on stderr)."""
    return exit_status("pith-opt", lambda: _dispatch(sys.argv[1:] if argv is None else argv))


def _dispatch(argv: Sequence[str]) -> int:
    from .opt_args import parse_command_line

    line = parse_command_line(argv)
    flags = line.flags
    if flags.load:
        from pith.passes.pipeline.loading import load_passes

        for source in flags.load:
            load_passes(source)
    if flags.version or flags.list_passes or flags.show_dialects or flags.dump_irdl:
        from .opt_queries import answer

        sys.stdout.write(answer(flags))
        return 0
    from .opt_driver import drive

    return drive(line)


if __name__ == "__main__":
    sys.exit(main())
