"""``--verify-diagnostics``: compare what is emitted with what comments in the input expect.

::

    // expected-error@+1 {{expects a tensor}}
    // expected-error-re@below {{expects {{[0-9]+}} operands}}
    // expected-warning@-2 {{...}}   expected-note@above {{...}}   expected-remark@unknown {{...}}

The text must occur in a diagnostic of that severity on that line; every diagnostic and note must
be expected, but for the notes "see current operation". In ``-re`` text the parts in double braces
are regular expressions. Source: MLIR's ``SourceMgrDiagnosticVerifierHandler``.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator

from pith.excerpts import IN_MEMORY
from pith.passes.pipeline.diagnostics import Diagnostic

from .source_diagnostics import DiagnosticPrinter, is_reproducer_warning

_EXPECTED = re.compile(
    r"expected-(?P<kind>error|note|remark|warning)(?P<re>-re)?\s*"
    r"(?:@(?P<where>[+-]\d+|above|below|unknown))?\s*\{\{(?P<text>.*)\}\}\s*$"
)
_DIRECTIVE = re.compile(r"expected-(?:error|note|remark|warning)(?:-re)?\s*(?:@\S*)?\s*\{\{")
#: Line of an expectation whose line is the next one without a directive.
_BELOW = 0


@dataclasses.dataclass
class Expectation:
    """One ``expected-...`` comment: severity, where it stands, which line it names (None: unknown), its pattern."""

    severity: str
    at: int
    line: int | None
    text: str
    pattern: re.Pattern[str]
    met: bool = False

    def accepts(self, diagnostic: Diagnostic, in_input: bool) -> bool:
        """Whether ``diagnostic`` is what this comment expects."""
        line = diagnostic.line if in_input else None
        same_place = self.severity == diagnostic.severity and self.line == line
        return same_place and self.pattern.search(" ".join(diagnostic.message.split())) is not None


class DiagnosticVerifier(DiagnosticPrinter):
    """A diagnostic handler that checks instead of printing; :meth:`finish` gives the verdict."""

    def __init__(self, name: str, text: str):
        super().__init__(name, text)
        self.problems: list[str] = []
        self.expected = list(self._expectations())

    def emit(self, diagnostic: Diagnostic) -> None:
        """Match ``diagnostic`` and its notes."""
        if is_reproducer_warning(diagnostic):
            return
        self.errors += diagnostic.severity == "error"
        for each in (diagnostic, *diagnostic.notes):
            self._match(each)

    def hint(self, text: str) -> None:
        """Hints are not diagnostics."""

    def finish(self) -> bool:
        """Report what does not agree to stderr; True when everything did."""
        for e in self.expected:
            if not e.met:
                self.problems.append(f'{self.name}:{e.at}: error: expected {e.severity} "{e.text}" was not produced')
        sys.stderr.writelines(f"{problem}\n" for problem in self.problems)
        return not self.problems

    def _match(self, diagnostic: Diagnostic) -> None:
        in_input = diagnostic.file in (IN_MEMORY, self.name)
        fitting = next((e for e in self.expected if not e.met and e.accepts(diagnostic, in_input)), None)
        if fitting is not None:
            fitting.met = True
        elif not diagnostic.shows_operation:
            message = f"unexpected {diagnostic.severity}: {diagnostic.message}"
            text = self.format(dataclasses.replace(diagnostic, severity="error", message=message))
            self.problems.append(text.rstrip("\n"))

    def _expectations(self) -> Iterator[Expectation]:
        previous_code = 0
        waiting: list[Expectation] = []
        for number, line in enumerate(self.lines, 1):
            if _DIRECTIVE.search(line):
                expectation = self._parse(number, line, previous_code)
                if expectation is not None and expectation.line == _BELOW:
                    waiting.append(expectation)
                elif expectation is not None:
                    yield expectation
                if line.lstrip().startswith("//"):
                    continue
            if line.strip():
                previous_code = number
                for expectation in waiting:
                    expectation.line = number
                    yield expectation
                waiting = []
        yield from waiting

    def _parse(self, number: int, line: str, previous_code: int) -> Expectation | None:
        match = _EXPECTED.search(line)
        if match is None:
            what = "malformed expectation; write // expected-error@+1 {{text}}"
            self.problems.append(f"{self.name}:{number}: error: {what}")
            return None
        where = match["where"] or "+0"
        lines: dict[str, int | None] = {"above": previous_code, "below": _BELOW, "unknown": None}
        target = lines[where] if where in lines else int(where) + (number if where[0] in "+-" else 0)
        try:
            pattern = _pattern(match["text"], is_regex=match["re"] is not None)
        except re.error as e:
            self.problems.append(f"{self.name}:{number}: error: invalid regular expression: {e}")
            return None
        return Expectation(match["kind"], number, target, match["text"], pattern)


def _pattern(text: str, *, is_regex: bool) -> re.Pattern[str]:
    """The pattern for the text of a comment.

    Example:
        >>> bool(_pattern("got {{[0-9]+}} (ops)", is_regex=True).search("got 12 (ops)"))
        True
    """
    text = " ".join(text.split())
    if not is_regex:
        return re.compile(re.escape(text))
    parts = re.split(r"\{\{(.*?)\}\}", text)
    return re.compile("".join(f"(?:{part})" if i % 2 else re.escape(part) for i, part in enumerate(parts)))
