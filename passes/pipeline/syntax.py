"""The textual syntax of pass pipelines: text -> tree of names, options and nesting.

::

    pipeline ::= anchor `(` elements `)` | elements
    elements ::= [element (`,` element)*]
    element  ::= name [`{` options `}`] | anchor `(` elements `)`
    options  ::= [option (space option)*],  option ::= key [`=` value]

A value runs to the next space; braces, brackets, parentheses and quotes group, so ``a={x=1 y=2}``
and ``b="two words"`` are one option each. Source: MLIR's textual pass pipelines.
"""

from __future__ import annotations

import dataclasses
import re
from typing import NoReturn

from pith.errors import PipelineError

_NAME = re.compile(r"[A-Za-z_][\w.$-]*")
_CLOSER = {"{": "}", "[": "]", "(": ")"}
_QUOTES = "\"'"


@dataclasses.dataclass(frozen=True)
class PassNode:
    """One pass or pipeline: its name, the text between its braces (None: no braces), its offset in the text."""

    name: str
    options: str | None
    pos: int

    def __str__(self) -> str:
        return self.name if self.options is None else f"{self.name}{{{self.options.strip()}}}"


@dataclasses.dataclass(frozen=True)
class NestNode:
    """Elements nested under an operation: ``func.func(cse)``."""

    anchor: str
    children: tuple[Node, ...]
    pos: int

    def __str__(self) -> str:
        return f"{self.anchor}({','.join(map(str, self.children))})"


Node = PassNode | NestNode


@dataclasses.dataclass(frozen=True)
class Option:
    """``key=value`` of a pass; ``value`` is None for a bare key; ``pos`` is its offset in the pipeline's text."""

    key: str
    value: str | None
    pos: int


@dataclasses.dataclass(frozen=True)
class Source:
    """A pipeline's text and what to call it in errors."""

    text: str
    label: str = "pipeline"

    def error(self, pos: int, message: str, hint: str | None = None) -> NoReturn:
        """Raise :class:`pith.PipelineError` that shows the line of offset ``pos`` with a caret below it."""
        pos = min(pos, len(self.text))
        start = self.text.rfind("\n", 0, pos) + 1
        end = self.text.find("\n", pos)
        line = self.text[start : len(self.text) if end < 0 else end]
        number, column = self.text.count("\n", 0, pos) + 1, pos - start + 1
        caret = "".join("\t" if c == "\t" else " " for c in line[: column - 1]) + "^"
        raise PipelineError(f"{message}\n  {line}\n  {caret}", where=f"{self.label}:{number}:{column}", hint=hint)


def parse_syntax(source: Source | str) -> NestNode:
    """The tree of ``source``; a bare element list is anchored on ``builtin.module``.

    Errors: :class:`pith.PipelineError` with line, column and a caret.

    Example:
        >>> tree = parse_syntax("builtin.module( cse, func.func(canonicalize{top-down=false}) )")
        >>> str(tree)
        'builtin.module(cse,func.func(canonicalize{top-down=false}))'
        >>> str(parse_syntax("cse"))
        'builtin.module(cse)'
    """
    parser = _Parser(Source(source) if isinstance(source, str) else source)
    nodes = parser.elements()
    if parser.peek():
        parser.source.error(parser.pos, f"expected ',' or the end of the pipeline, got {parser.peek()!r}")
    if len(nodes) == 1 and isinstance(nodes[0], NestNode):
        return nodes[0]
    return NestNode("builtin.module", nodes, 0)


def split_options(source: Source, options: str, pos: int) -> list[Option]:
    """The options in ``options``, which stands at offset ``pos`` of ``source``.

    Errors: :class:`pith.PipelineError` on an unmatched bracket or quote, or a missing key.

    Example:
        >>> [(o.key, o.value) for o in split_options(Source(""), "a=1 b={x y} flag", 0)]
        [('a', '1'), ('b', '{x y}'), ('flag', None)]
    """
    out = []
    i = 0
    while i < len(options):
        if options[i].isspace():
            i += 1
            continue
        end = _scan(source, options, i, pos, stop_at_space=True)
        key, eq, value = options[i:end].partition("=")
        if not _NAME.fullmatch(key):
            source.error(pos + i, f"expected an option key=value, got {options[i:end]!r}")
        out.append(Option(key, value if eq else None, pos + i))
        i = end
    return out


def unquote(value: str) -> str:
    """``value`` without one pair of enclosing quotes or braces."""
    if len(value) >= 2 and ((value[0] == value[-1] and value[0] in _QUOTES) or (value[0] == "{" and value[-1] == "}")):
        return value[1:-1]
    return value


def _scan(source: Source, text: str, start: int, base: int, *, stop_at_space: bool) -> int:
    """The end of the balanced run of ``text`` from ``start``: a space, a closer it did not open, or the end.

    ``text`` stands at offset ``base`` of ``source``, where errors are shown.
    """
    open_: list[tuple[str, int]] = []
    i = start
    while i < len(text):
        c = text[i]
        if c in _QUOTES:
            close = text.find(c, i + 1)
            if close < 0:
                source.error(base + i, f"unterminated {c}")
            i = close
        elif c in _CLOSER:
            open_.append((_CLOSER[c], i))
        elif c in "}])":
            if not open_:
                break
            if open_[-1][0] != c:
                source.error(base + i, f"expected {open_[-1][0]!r}, got {c!r}")
            open_.pop()
        elif c.isspace() and stop_at_space and not open_:
            break
        i += 1
    if open_:
        source.error(base + open_[-1][1], f"{text[open_[-1][1]]!r} is never closed")
    return i


class _Parser:
    """Recursive descent over the text; ``pos`` is the next character."""

    #: Deeper nesting than this is a mistake (MLIR's own anchors nest three or four deep).
    MAX_DEPTH = 64

    def __init__(self, source: Source):
        self.source = source
        self.text = source.text
        self.pos = 0
        self.depth = 0

    def peek(self) -> str:
        while self.pos < len(self.text) and self.text[self.pos].isspace():
            self.pos += 1
        return self.text[self.pos : self.pos + 1]

    def elements(self) -> tuple[Node, ...]:
        if self.peek() in ("", ")"):
            return ()
        out = [self.element()]
        while self.peek() == ",":
            self.pos += 1
            out.append(self.element())
        return tuple(out)

    def element(self) -> Node:
        got = self.peek()
        match = _NAME.match(self.text, self.pos)
        if match is None:
            self.source.error(self.pos, f"expected a pass name, got {got!r}" if got else "expected a pass name")
        pos = self.pos
        self.pos = match.end()
        follow = self.peek()
        if follow == "(":
            return self.nested(match[0], pos)
        if follow == "{":
            return PassNode(match[0], self.options(), pos)
        return PassNode(match[0], None, pos)

    def nested(self, anchor: str, pos: int) -> NestNode:
        opened = self.pos
        self.pos += 1
        self.depth += 1
        if self.depth > self.MAX_DEPTH:
            self.source.error(pos, f"more than {self.MAX_DEPTH} levels of nesting")
        children = self.elements()
        got = self.peek()
        if not got:
            self.source.error(opened, "'(' is never closed")
        if got != ")":
            self.source.error(self.pos, f"expected ',' or ')', got {got!r}")
        self.pos += 1
        self.depth -= 1
        return NestNode(anchor, children, pos)

    def options(self) -> str:
        opened = self.pos
        end = _scan(self.source, self.text, opened + 1, 0, stop_at_space=False)
        if end == len(self.text):
            self.source.error(opened, "'{' is never closed")
        if self.text[end] != "}":
            self.source.error(end, f"expected '}}', got {self.text[end]!r}")
        self.pos = end + 1
        return self.text[opened + 1 : end]
