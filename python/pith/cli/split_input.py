"""``--split-input-file``: chunks of a file that keep the line numbers of the whole."""

from __future__ import annotations

DEFAULT_MARKER = "// -----"


def split_input(text: str, marker: str = DEFAULT_MARKER) -> list[str]:
    """The chunks of ``text`` between lines that are exactly ``marker``.

    Every chunk starts with as many empty lines as stand before it, so positions in it are positions
    in the file.

    Example:
        >>> split_input("a\\n// -----\\nb\\n")
        ['a\\n', '\\n\\nb\\n']
    """
    chunks: list[str] = []
    lines: list[str] = []
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if line.rstrip() == marker:
            chunks.append("\n" * offset + "".join(lines))
            lines, offset = [], number
        else:
            lines.append(line)
    chunks.append("\n" * offset + "".join(lines))
    return chunks
