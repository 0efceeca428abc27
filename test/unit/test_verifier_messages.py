"""Every message a verifier can give stands in one of the ``invalid*.mlir`` files."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Raised by Python constructors and accessors, not by verifiers.
_BUILDERS = ("pit_tile takes", "expects a tensor with a pith encoding")


def messages(source: str) -> list[str]:
    """Regular expressions of the messages of ``require``, ``Misuse`` and ``FormatError`` calls."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            position = {"require": 1, "Misuse": 0, "FormatError": 0}.get(node.func.id)
            if position is not None:
                found += _pattern(node.args[position])
    return found


def _pattern(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [".*".join(map(re.escape, node.value.split("{}")))]
    if isinstance(node, ast.JoinedStr):
        return ["".join(re.escape(v.value) if isinstance(v, ast.Constant) else ".*" for v in node.values)]
    if isinstance(node, ast.BinOp):
        return _pattern(node.left)
    return []


CASES = [
    pytest.param(m, id=f"{path.stem}-{i}")
    for path in sorted((ROOT / "dialect").glob("*.py"))
    for i, m in enumerate(messages(path.read_text(encoding="utf-8")))
    if not m.startswith(tuple(map(re.escape, _BUILDERS)))
]


@pytest.fixture(scope="module")
def expected_errors() -> str:
    files = sorted((ROOT / "test" / "dialect").glob("invalid*.mlir"))
    lines = [line for f in files for line in f.read_text(encoding="utf-8").splitlines() if "expected-error" in line]
    return "\n".join(lines)


def test_messages_are_found():
    assert len(CASES) > 60
    assert messages('require(a, "expects {} to fit", b)') == [r"expects\ .*\ to\ fit"]


@pytest.mark.parametrize("message", CASES)
def test_message_has_a_lit_case(message, expected_errors):
    assert re.search(message.rstrip(".*").removesuffix(r",\ got\ "), expected_errors), message
