"""Docstrings of ops and passes as Markdown: sections, literal blocks, inline literals."""

from __future__ import annotations

import dataclasses
import inspect
import re

_SECTION = re.compile(r"^(Shapes|Units|Semantics|Errors|Source|Rule|Example)(?: \(([^)]*)\))?:\s*(.*)$")


@dataclasses.dataclass(frozen=True)
class Docstring:
    """A docstring in parts.

    Attributes:
        summary: the first paragraph.
        body: what follows, up to the first section.
        sections: title (``Example`` may carry a note: ``Example (note)``) -> text.

    Example:
        >>> doc = Docstring.parse("Do it.\\n\\nAt once.\\n\\nShapes: x: any;\\n    y: any.")
        >>> doc.summary, doc.body, doc.sections
        ('Do it.', 'At once.', {'Shapes': 'X: any; y: any.'})
    """

    summary: str
    body: str
    sections: dict[str, str]

    @classmethod
    def parse(cls, text: str | None) -> Docstring:
        """Split the docstring ``text``."""
        lines = inspect.cleandoc(text or "").splitlines()
        head: list[str] = []
        sections: dict[str, list[str]] = {}
        current = head
        for line in lines:
            match = _SECTION.match(line)
            if match:
                title = match[1] + (f" ({match[2]})" if match[2] else "")
                current = sections.setdefault(title, [])
                line = match[3]
            current.append(line)
        summary, _, body = "\n".join(head).strip().partition("\n\n")
        texts = {title: inspect.cleandoc("\n".join(part)) for title, part in sections.items()}
        flat = {t: text if t.startswith("Example") else _sentence(text) for t, text in texts.items()}
        return cls(" ".join(summary.split()), body.strip("\n"), flat)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def inline(text: str) -> str:
    """Literals and roles of reStructuredText as Markdown.

    >>> inline("a ``literal`` and a :class:`~pith.errors.Error`")
    'a `literal` and a `Error`'
    """
    text = re.sub(r":\w+:`~(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def example(text: str) -> str:
    """The text of an Example section: IR in one literal becomes a code block, line by line.

    >>> print(example('``%1 = "pith.f"(%0)\\n  : (i1) -> i1``'))
    ```mlir
    %1 = "pith.f"(%0)
      : (i1) -> i1
    ```
    """
    match = re.fullmatch(r"``(.+?)``\.?", text, re.DOTALL)
    if not match or '"pith.' not in match[1]:
        return inline(" ".join(text.split()))
    return f"```mlir\n{match[1]}\n```"


def markdown(text: str) -> str:
    """Paragraphs as Markdown; an indented block after ``::`` (or after a colon) becomes code.

    >>> print(markdown("Before::\\n\\n    x = 1\\n\\nDone."))
    Before:
    <BLANKLINE>
    ```mlir
    x = 1
    ```
    <BLANKLINE>
    Done.
    """
    chunks: list[tuple[bool, list[str]]] = []
    for line in text.splitlines():
        in_code = bool(chunks) and chunks[-1][0]
        is_code = line.startswith("    ") or (in_code and not line.strip())
        if not chunks or in_code != is_code:
            chunks.append((is_code, []))
        chunks[-1][1].append(line[4:] if is_code else line)
    return "\n\n".join(_fence(lines) if code else _prose(lines) for code, lines in chunks)


def _prose(lines: list[str]) -> str:
    text = "\n".join(line[:-1] if line.endswith("::") else line for line in lines)
    return inline(text).strip("\n")


def _fence(lines: list[str]) -> str:
    return "```mlir\n" + inspect.cleandoc("\n".join(["", *lines])).strip("\n") + "\n```"
