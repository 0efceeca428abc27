"""The rules of docs/architecture.md: who imports whom, how long files are, what has a test."""

import ast
import itertools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LAYERS = ("dialect", "passes", "lowering", "python/pith")
MAX_LINES = 300

#: What the modules of a layer must not import.
FORBIDDEN = {
    "dialect": ("pith.passes", "pith.lowering", "pith.compiler", "pith.functional", "pith.runtime", "pith.torch"),
    "passes": ("pith.lowering", "pith.compiler", "pith.functional", "pith.runtime", "pith.torch"),
    "lowering": ("pith.compiler", "pith.functional", "pith.runtime", "pith.torch"),
    "python/pith/compiler": ("pith.functional", "pith.workloads", "pith.cli"),
    "python/pith/formats": ("pith._mlir", "pith.dialect", "pith.passes", "pith.lowering"),
    "python/pith/runtime": ("pith.dialect", "pith.passes", "pith.lowering"),
}

#: Imports that break a rule on purpose, and why.
ALLOWED = {
    (
        "passes/pipeline/registry.py",
        "pith.lowering",
    ): "pipelines name conversions too: it reads the tables, which are strings",
    (
        "lowering/isa.py",
        "pith.runtime",
    ): "what the processor offers is read in one place, and that place needs no MLIR",
}

#: First parts of references to other projects.
HOSTS = {"scipy", "torch", "numpy"}

CODE = (".py", ".cpp", ".h")

#: Names of files that stand for any file in messages and examples.
PLACEHOLDERS = {"FILE.py", "passes.py", "model.py"}


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


#: Packages whose docstrings say what each of their modules is: every one of the compiler, and large ones of Python.
MAPPED = [
    *(p.parent.relative_to(ROOT).as_posix() for layer in LAYERS[:3] for p in (ROOT / layer).rglob("__init__.py")),
    *("python/pith/compiler", "python/pith/formats", "python/pith/functional/dynamic"),
]


@pytest.mark.parametrize("folder", MAPPED)
def test_packages_say_what_their_modules_are(folder):
    package = ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))
    named = set(re.findall(r"``(\w+)``", ast.get_docstring(package)))
    modules = {p.stem for p in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert not modules - named, f"the docstring of {folder}/__init__.py does not say what these are"


def module_of(path):
    """The dotted name ``path`` is imported by."""
    relative = path.relative_to(ROOT)
    parts = relative.parts[2:] if relative.parts[:2] == ("python", "pith") else relative.parts
    return ".".join(["pith", *parts]).removesuffix(".py").removesuffix(".__init__")


def imports(path):
    """(line, absolute module name) of every import in ``path``, those inside functions included."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def offences(folder, forbidden):
    for path in sources(folder):
        name = str(path.relative_to(ROOT))
        for line, module in imports(path):
            for rule in forbidden:
                if (module == rule or module.startswith(rule + ".")) and (name, rule) not in ALLOWED:
                    yield f"{name}:{line} imports {module}"


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_layers_import_downwards_only(folder):
    assert not list(offences(folder, FORBIDDEN[folder]))


def test_exceptions_to_the_rules_exist():
    for name, rule in ALLOWED:
        assert any(module == rule or module.startswith(rule + ".") for _, module in imports(ROOT / name)), (name, rule)


def test_one_module_imports_the_host():
    importers = {
        str(path.relative_to(ROOT))
        for folder in LAYERS
        for path in sources(folder)
        for _, module in imports(path)
        if module.split(".")[0] == "torch_mlir"
    }
    assert importers == {"python/pith/_mlir.py"}


def test_imports_are_resolved():
    here = ROOT / "lowering" / "gpu" / "compile.py"
    found = {module for _, module in imports(here)}
    assert any(m.startswith("pith.lowering.") for m in found), "relative imports become absolute names"
    assert module_of(ROOT / "python/pith/io/__init__.py") == "pith.io"


def definitions(folder):
    """(absolute name, whether it has a docstring) of every function and class of a folder's modules."""
    for path in sources(folder):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield f"{module_of(path)}.{node.name}", ast.get_docstring(node) is not None


def test_what_another_file_imports_has_a_docstring():
    documented = dict(definition for folder in LAYERS for definition in definitions(folder))
    imported = {name for folder in LAYERS for path in sources(folder) for _, name in imports(path)}
    assert len(imported & documented.keys()) > 1000, "names are resolved"
    assert not [name for name in imported if documented.get(name) is False]


def names_of(path):
    """Everything a module defines or imports, members of its classes included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def references(path):
    """(line, dotted name) of every ``:func:``, ``:class:``, ... in the docstrings and comments of a module."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for name in re.findall(r":(?:func|class|meth|data|attr|mod):`~?([\w.]+)`", line):
            yield number, name


def test_references_in_docstrings_lead_somewhere():
    """A bare name is one of the module's own folder; a name from elsewhere is dotted and begins with its package."""
    everywhere, folders, dangling = set(), {}, []
    for path in (p for folder in LAYERS for p in sources(folder)):
        names = {*module_of(path).split("."), *names_of(path)}
        everywhere |= names
        folders.setdefault(path.parent, set()).update(names)
    for path in (p for folder in LAYERS for p in sources(folder)):
        for line, name in references(path):
            known = everywhere if "." in name else folders[path.parent]
            if name.split(".")[0] not in HOSTS and name.split(".")[-1] not in known:
                dangling.append(f"{path.relative_to(ROOT)}:{line} names {name}")
    assert not dangling


def test_files_that_docstrings_and_comments_name_exist():
    files = [str(p.relative_to(ROOT)) for f in (*LAYERS, "runtime", "bench", "test") for p in (ROOT / f).rglob("*.*")]
    missing = []
    for path in (p for folder in (*LAYERS, "runtime") for p in (ROOT / folder).rglob("*") if p.suffix in CODE):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in re.findall(r"(?<![\w./-])[\w/-]+\.(?:py|cpp)\b", line):
                if name not in PLACEHOLDERS and not any(f"/{file}".endswith(f"/{name}") for file in files):
                    missing.append(f"{path.relative_to(ROOT)}:{number} names {name}")
    assert not missing


def test_files_are_short():
    folders = (*LAYERS, "bench", "examples", "runtime")
    suffixes = (".py", ".cpp", ".h")
    files = [p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    too_long = {name: n for name, n in lengths.items() if n > MAX_LINES}
    assert len(lengths) > 150 and not too_long


def pass_names():
    from pith.lowering import PASSES as CONVERSIONS
    from pith.passes import PASSES

    return [*(("passes", n) for n in PASSES), *(("lowering", n) for n in CONVERSIONS)]


@pytest.mark.parametrize(("folder", "name"), pass_names(), ids=lambda value: value)
def test_every_pass_has_a_lit_file_of_its_name(folder, name):
    files = [p for p in (ROOT / "test" / folder).rglob("*.mlir") if p.stem == name or p.stem.startswith(f"{name}-")]
    assert files, f"test/{folder}/{name}.mlir is missing"
    assert any(run_line_names(p, name) for p in files), f"no RUN line of {files[0].name} runs {name}"


def test_lit_files_begin_by_saying_what_they_show():
    """Before the first op or alias stands a comment that is neither a RUN line nor a directive of filecheck."""
    files = [p for f in ("dialect", "passes", "lowering") for p in (ROOT / "test" / f).rglob("*.mlir")]
    silent = []
    for path in (p for p in files if p.parent.name != "Inputs"):
        lines = path.read_text(encoding="utf-8").splitlines()
        preamble = itertools.takewhile(lambda line: not line or line.startswith("//"), lines)
        if not any(re.match(r"// (?!RUN|[A-Z][A-Z0-9-]*:)[\w`(]", line) for line in preamble):
            silent.append(str(path.relative_to(ROOT)))
    assert len(files) > 80 and not silent


def run_line_names(path, name):
    """True when a RUN line of a lit file names the pass, or a pipeline that holds it."""
    from pith.lowering import PIPELINES

    names = {name}
    while wider := {p for p, text in PIPELINES.items() if p not in names and any(n in text for n in names)}:
        names |= wider
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "RUN:" in line]
    return any(n in line for line in lines for n in names)
