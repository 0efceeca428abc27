"""``pith-opt``: run passes of pith and of upstream MLIR over a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .status import exit_status

if TYPE_CHECKING:
    from .opt_args import CommandLine


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
    if flags.help:
        sys.stdout.write(_help(line))
        return 0
    if flags.version or flags.list_passes or flags.show_dialects or flags.dump_irdl:
        from .opt_queries import answer

        sys.stdout.write(answer(flags))
        return 0
    from .opt_driver import drive

    return drive(line)


def _help(line: CommandLine) -> str:
    """Of the command, or of the passes that it names."""
    if line.passes:
        from .opt_queries import describe_passes

        return describe_passes(name for name, _ in line.passes)
    from .opt_args import build_parser

    return build_parser().format_help()


if __name__ == "__main__":
    sys.exit(main())
