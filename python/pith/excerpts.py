"""The line of source that a message is about, with a caret below it, as MLIR's tools show it."""

from __future__ import annotations

import linecache
import re

_SEVERITIES = "error|warning|note|remark"

#: A position in a message: MLIR's errors name the severity before it, collected diagnostics behind it, passes none.
_POSITION = re.compile(
    rf'^(?:({_SEVERITIES}): )?(?:loc\()?"?([^":\n]+)"?:(\d+):(\d+)\)?: (?:({_SEVERITIES}): )?(.*)$', re.MULTILINE
)

#: The file name MLIR gives to text that was parsed from memory.
IN_MEMORY = "-"


def excerpt(text: str, column: int) -> str:
    """The line ``text`` and a caret below byte ``column`` (MLIR counts bytes, from 1).

    Example:
        >>> print(excerpt("\u00fc = x", 6), end="")
        \u00fc = x
            ^
    """
    before = text.encode()[: max(0, column - 1)].decode(errors="ignore")
    pad = "".join("\t" if c == "\t" else " " for c in before)
    return f"{text}\n{pad}^\n"


def with_excerpts(message: str, text: str | None = None) -> str:
    """``message`` with the lines that its positions name below them.

    Args:
        text: what positions in memory are in; those of files are read.

    Example:
        >>> print(with_excerpts('error: "-":1:5: expected something', "a = ?"))
        -:1:5: error: expected something
        a = ?
            ^
    """

    def shown(found: re.Match) -> str:
        before, file, line, column, behind, what = found.groups()
        source = _line(file, int(line), text)
        head = f"{file}:{line}:{column}: {before or behind or 'error'}: {what}"
        return f"{head}\n{excerpt(source, int(column))}".rstrip() if source.strip() else found[0]

    return _POSITION.sub(shown, message)


def _line(file: str, number: int, text: str | None) -> str:
    if file != IN_MEMORY or text is None:
        return linecache.getline(file, number).rstrip("\r\n")
    lines = text.split("\n")
    return lines[number - 1].rstrip("\r") if 1 <= number <= len(lines) else ""
