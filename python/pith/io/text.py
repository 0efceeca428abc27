"""Numbers from text files: bounded reading, vectorised parsing, errors that name the line."""

from __future__ import annotations

import dataclasses
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import FileFormatError

#: Bytes parsed at a time: large against the cost of a NumPy call, small against memory.
_BLOCK = 1 << 22

#: Longest line accepted; no number needs more, and it bounds what one line of a compressed file can take.
_LINE = 1 << 16

#: Deflate cannot compress better than this (zlib technical details: 1032:1).
DEFLATE_RATIO = 1032

_SPACE = b" \t\r\n"
_DIGITS = {"i": b"0123456789+-", "u": b"0123456789+", "f": b"0123456789+-.eEdDnNaAiIfFtTyY"}
_EXPONENT = bytes.maketrans(b"dD", b"ee")  # Fortran writes 1.5D+03


class TextSource:
    """A text file, gzipped or not, read line by line and then block by block.

    Attributes:
        line: number of the line read last (1 is the first).
        budget: upper bound of the bytes the file can yield.
    """

    def __init__(self, path: Path):
        self.path = path
        self.line = 0
        size = os.path.getsize(path)
        zipped = path.name.lower().endswith(".gz")
        self.budget = size * DEFLATE_RATIO if zipped else size
        self._file: IO[bytes] = gzip.open(path) if zipped else open(path, "rb")  # type: ignore[assignment]

    def __enter__(self) -> TextSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def error(self, message: str, hint: str, line: int | None = None) -> FileFormatError:
        """The error for ``line`` (None: the line read last)."""
        return FileFormatError(message, where=f"{self.path}:{line or max(1, self.line)}", hint=hint)

    def _read(self, size: int, whole_line: bool = False) -> bytes:
        try:
            return self._file.readline(size) if whole_line else self._file.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self.error(f"cannot decompress: {error}", "the file is damaged or truncated: get it again") from None

    def readline(self) -> bytes:
        """The next line, with its end; empty at the end of the file."""
        out = self._read(_LINE, whole_line=True)
        self.line += 1
        if len(out) == _LINE and not out.endswith(b"\n"):
            raise self.error(f"line is longer than {_LINE} bytes", "is this a text file?")
        return out

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._read(-1)

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """The rest of the file as (whole lines, number of the first of them)."""
        while block := self._read(_BLOCK):
            tail = b"" if block.endswith(b"\n") else self._read(_LINE, whole_line=True)
            first = self.line + 1
            self.line += block.count(b"\n")
            if len(tail) == _LINE and not tail.endswith(b"\n"):
                self.line += 1
                raise self.error(f"line is longer than {_LINE} bytes", "is this a text file?")
            self.line += 1 if tail or not block.endswith(b"\n") else 0
            yield block + tail, first


@dataclasses.dataclass(frozen=True)
class Rows:
    """Numbers of consecutive lines, and where each row came from."""

    numbers: np.ndarray  # (rows, numbers per line)
    lines: np.ndarray  # (rows,) line numbers


def parse_rows(block: bytes, dtype: np.dtype, width: int, source: TextSource, first: int) -> Rows:
    """Parse lines of ``width`` numbers each; empty lines are skipped.

    Errors: :class:`FileFormatError` at the first line that has another count or something that is no number.
    """
    check_characters(block, dtype, source, first)
    counts = _tokens_per_line(block)
    bad = np.flatnonzero((counts != 0) & (counts != width))
    if bad.size:
        raise source.error(
            f"expects {width} number(s) per line, got {counts[bad[0]]}", "one entry per line", first + int(bad[0])
        )
    lines = np.flatnonzero(counts) + first
    return Rows(parse_numbers(block, dtype, lines.size * width, source, first).reshape(-1, width), lines)


def parse_numbers(block: bytes, dtype: np.dtype, count: int, source: TextSource, first: int) -> np.ndarray:
    """Parse exactly ``count`` numbers separated by white space.

    Errors: :class:`FileFormatError` at the first word that is no number or overflows.
    """
    if not count:
        return np.empty(0, dtype)
    text = block.translate(_EXPONENT) if dtype.kind == "f" else block
    try:
        out = np.fromstring(text, dtype=dtype, sep=" ")
    except ValueError:
        out = np.empty(0, dtype)
    if out.size != count or _maybe_overflowed(out, text):
        _check_words(text, dtype, source, first)
    if out.size != count:
        raise source.error(f"expects {count} numbers, got {out.size}", "separate numbers by spaces", first)
    return out


def _maybe_overflowed(out: np.ndarray, text: bytes) -> bool:
    """True when a number may have been replaced by the largest its type holds."""
    if out.dtype.kind == "f":
        return bool(np.isinf(out).any())
    limits = np.iinfo(out.dtype)
    return bool(((out == limits.max) | ((out == limits.min) & (limits.min < 0))).any())


def check_characters(block: bytes, dtype: np.dtype, source: TextSource, first: int) -> None:
    """Only digits and the like: NumPy's parser never sees anything else."""
    rest = block.translate(None, _DIGITS[dtype.kind] + _SPACE)
    if rest:
        line = first + block.count(b"\n", 0, block.index(rest[:1]))
        kind = {"i": "integers", "u": "unsigned integers", "f": "numbers"}[dtype.kind]
        raise source.error(f"unexpected character {rest[:1]!r} among {kind}", "only numbers may follow here", line)


def _check_words(text: bytes, dtype: np.dtype, source: TextSource, first: int) -> None:
    """Name the first word that is no number of ``dtype``; slow, for the way to an error only."""
    for i, line in enumerate(text.split(b"\n")):
        for word in line.split():
            if problem := _word_problem(word, dtype):
                raise source.error(f"{word[:40].decode('latin-1')!r} {problem}", "correct the number", first + i)


def _word_problem(word: bytes, dtype: np.dtype) -> str | None:
    try:
        if dtype.kind == "f":
            overflows = np.isinf(float(word)) and b"inf" not in word.lower()
        else:
            limits = np.iinfo(dtype)
            overflows = len(word) > 64 or not limits.min <= int(word) <= limits.max
    except ValueError:
        return "is not a number" if dtype.kind == "f" else "is not an integer"
    return f"is out of range for {dtype}" if overflows else None


def _tokens_per_line(block: bytes) -> np.ndarray:
    """Number of words on every line of ``block``."""
    data = np.frombuffer(block, np.uint8)
    space = data <= ord(" ")
    begins = ~space
    begins[1:] &= space[:-1]
    ends = np.flatnonzero(data == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, data.size)
    before = np.searchsorted(np.flatnonzero(begins), ends)
    return np.diff(before, prepend=0)
