"""How a command ends: its exit status, and what it says on stderr when something went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pith.errors import Error, PassError
from pith.excerpts import with_excerpts


def exit_status(name: str, command: Callable[[], int]) -> int:
    """Run ``command``; its status, or 1 after a message on stderr, or 130 when the user interrupted it.

    Semantics: a reader that closed the pipe (``| head``) ends the command quietly. With ``PITH_DEBUG=1`` an
        error is raised, so that Python shows where it came from.
    """
    try:
        status = command()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as e:
        if os.environ.get("PITH_DEBUG"):
            raise
        sys.stderr.write(f"{name}: error: {_message(e)}\n")
        return 1


def _message(error: Exception) -> str:
    """What to tell the user: pith's and the system's errors in their own words, others as a bug."""
    if isinstance(error, PassError):
        return with_excerpts(str(error))
    if isinstance(error, Error):
        return str(error)
    if isinstance(error, OSError):
        reason = str(error.strerror or error)
        return f"{reason}: {error.filename}" if error.filename else reason
    where = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    loaded = _loaded_line(error)
    if loaded is not None:
        return f"{loaded}:{where} {type(error).__name__}: {error}\n  hint: PITH_DEBUG=1 shows the traceback"
    hint = "PITH_DEBUG=1 shows the traceback; please report it"
    return f"internal error{where}: {type(error).__name__}: {error}\n  hint: {hint}"


def _loaded_line(error: Exception) -> str | None:
    """The innermost line of a file of ``--load`` that an error passed through."""
    loading = sys.modules.get("pith.passes.pipeline.loading")
    if loading is None:
        return None
    found, at = None, error.__traceback__
    while at is not None:
        if at.tb_frame.f_globals.get("__name__", "").startswith(loading.LOADED):
            found = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        at = at.tb_next
    return found
