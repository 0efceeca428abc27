"""``pith-opt``: run passes of pith and of upstream MLIR over a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pith.errors import Error


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``pith-opt``; returns its exit status (0, or 1 after a message on stderr)."""
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130
    except Error as e:
        return _fail(str(e))
    except OSError as e:
        reason = str(e.strerror or e)
        return _fail(f"{reason}: {e.filename}" if e.filename else reason)
    except Exception as e:
        if os.environ.get("PITH_DEBUG"):
            raise
        where = "".join(f" {note}" for note in getattr(e, "__notes__", ()))
        hint = "PITH_DEBUG=1 shows the traceback; please report it"
        return _fail(f"internal error{where}: {type(e).__name__}: {e}\n  hint: {hint}")


def _dispatch(argv: Sequence[str]) -> int:
    from .opt_args import parse_command_line

    line = parse_command_line(argv)
    flags = line.flags
    if flags.version or flags.list_passes or flags.show_dialects or flags.dump_irdl:
        from .opt_queries import answer

        sys.stdout.write(answer(flags))
        return 0
    from .opt_driver import drive

    return drive(line)


def _fail(message: str) -> int:
    sys.stderr.write(f"pith-opt: error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
