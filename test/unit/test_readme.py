"""Every command and program in the pages runs and prints what the page says.

- ``python`` blocks run in order, in one namespace per page; ``pycon`` blocks do too, as doctests.
- ``mlir`` blocks whose first line is ``// <name>.mlir`` are files of that name; the others must parse.
- ``console`` blocks run in a folder with those files and ``examples/``. After a ``$`` line come lines of its
  output, in order; ``...`` stands for anything, on a line of its own for any lines.
- ``sh`` and ``text`` blocks are for reading.
"""

import contextlib
import doctest
import io
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
GENERATED = {"docs/dialect.md", "docs/passes.md"}
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *sorted({str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")} - GENERATED),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"// (\w+\.mlir)\n")
KINDS = {"python", "pycon", "mlir", "console", "sh", "text"}


def blocks(page):
    """(line, kind, text) of every fenced block of ``page``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in FENCE.finditer(text)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    bin_dir = pathlib.Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_page(page, folder):
    pytest.importorskip("torch")
    namespace = {"__name__": "__page__"}
    for line, kind, text in blocks(page):
        where = f"{page}:{line}"
        assert kind in KINDS, f"{where}: unknown kind of block {kind!r}"
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * line + text, str(ROOT / page), "exec"), namespace)
        elif kind == "pycon":
            run_doctest(text, namespace, where)
        elif kind == "mlir":
            write_or_parse(text, folder, where)
        elif kind == "console":
            run_console(text, where)


def run_doctest(text, namespace, where):
    test = doctest.DocTestParser().get_doctest(text, namespace, where, where, 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=report.write, clear_globs=False)
    namespace.update(test.globs)
    assert not runner.failures, report.getvalue()


def write_or_parse(text, folder, where):
    named = FILE_NAME.match(text)
    path = folder / (named[1] if named else "block.mlir")
    path.write_text(text)
    done = subprocess.run(["pith-opt", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {done.stderr}"


def run_console(text, where):
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *expected = step.rstrip("\n").split("\n")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"
        missing = first_mismatch(expected, done.stdout.splitlines())
        assert missing is None, f"{where}: {command} does not print, in order:\n{missing}\nbut\n{done.stdout}"


def first_mismatch(expected, printed):
    """The first expected line that ``printed`` does not go on with, or None."""
    at, anywhere = 0, False
    for wanted in expected:
        if wanted.strip() == "...":
            anywhere = True
            continue
        pattern = re.compile(".*".join(map(re.escape, wanted.rstrip().split("..."))))
        hits = [i for i in range(at, len(printed)) if pattern.fullmatch(printed[i].rstrip())]
        if not hits or (hits[0] != at and not anywhere):
            return wanted
        at, anywhere = hits[0] + 1, False
    return None if anywhere or not expected or at == len(printed) else "(the end of the output)"


def test_first_mismatch_finds_what_differs():
    assert first_mismatch(["a", "b...d"], ["a", "b c d"]) is None
    assert first_mismatch(["...", "c"], ["a", "b", "c"]) is None
    assert first_mismatch(["a", "..."], ["a", "b", "c"]) is None
    assert first_mismatch(["a", "c"], ["a", "b", "c"]) == "c"
    assert first_mismatch(["a"], ["a", "b"]) == "(the end of the output)"


def test_readme_starts_with_the_two_commands():
    first_block = next(text for _, kind, text in blocks("README.md") if kind == "sh")
    assert [line.split("#")[0].strip() for line in first_block.splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", FENCE.sub("", text)):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page} links to #{anchor} of {path.name}"


def anchors(path):
    """Names of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_of_the_guide_is_in_its_index():
    index = (ROOT / "docs/guide/README.md").read_text(encoding="utf-8")
    pages = {p.name for p in (ROOT / "docs/guide").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\((\w+\.md)\)", index))


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_examples_run(script, folder):
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, f"examples/{script}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("program", sorted(p.name for p in (ROOT / "examples").glob("*.mlir")))
def test_commands_in_examples_run(program, folder):
    text = (ROOT / "examples" / program).read_text(encoding="utf-8")
    commands = re.findall(r"^//   (pith.*?)(?:\s{2,}\(.*\))?$", text, flags=re.MULTILINE)
    assert commands, f"{program} shows no command"
    for command in commands:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout and not done.stderr, f"{command}\n{done.stderr}"
