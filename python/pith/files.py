"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from .errors import ArgumentError


def name_of_file(path: Any, where: str) -> str:
    """The name of a file as text. Errors: :class:`pith.ArgumentError` for what is none.

    Example:
        >>> name_of_file(pathlib.PurePosixPath("a", "b.mtx"), "pith.read")
        'a/b.mtx'
    """
    try:
        name = os.fsdecode(path)
    except TypeError as error:
        text = f"expects the name of a file, got {type(path).__name__}"
        raise ArgumentError(text, where=where, hint="a string, or a pathlib.Path") from error
    if "\0" in name:
        raise ArgumentError(f"no file has the name {name!r}", where=where)
    return name


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when the block ends well, and leaves no trace when not."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # interrupted behind the last line
            os.unlink(name)
        raise


def write_whole(path: pathlib.Path, text: str) -> None:
    """Put ``text`` into ``path``, making its folder. Errors: those of the operating system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


def _umask() -> int:
    """Permissions new files do not get (there is no way to ask for it without setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
