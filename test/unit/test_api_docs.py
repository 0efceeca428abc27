"""Everything that is exported says what it is: names, and the public members of exported classes."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest

#: Modules whose ``__all__`` is the API.
MODULES = ("pith", "pith.formats", "pith.io", "pith.patterns", "pith.runtime", "pith.torch")


def documented(value: object) -> bool:
    """True for a docstring of its own, or one of a method of torch's that it overrides."""
    return bool((inspect.getdoc(value) or "").strip())


def undocumented_members(cls: type) -> list[str]:
    """Public methods and properties a class of pith defines or inherits from one of pith, without a docstring."""
    found = []
    for owner in cls.__mro__:
        if not owner.__module__.startswith("pith"):
            continue
        for name, member in vars(owner).items():
            inner = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            is_code = inspect.isfunction(inner) or isinstance(inner, property) or hasattr(inner, "attrname")
            if is_code and not name.startswith("_") and not documented(inner):
                found.append(f"{owner.__qualname__}.{name}")
    return found


@pytest.mark.parametrize("module_name", MODULES)
def test_the_exported_api_is_documented(module_name):
    module = importlib.import_module(module_name)
    assert documented(module)
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type):
            # a dataclass without a docstring gets its signature as one
            generated = (value.__doc__ or "").startswith(f"{value.__name__}(")
            missing += [name] * (generated or not documented(value)) + undocumented_members(value)
        elif callable(value) or isinstance(value, ModuleType):
            missing += [name] * (not documented(value))
    assert not missing, f"{module_name}: without a docstring: {sorted(set(missing))}"


#: Made by other functions, whose examples show them.
MADE_BY = {"Kernel": "compile", "GpuKernel": "compile"}


def api_of_pith() -> list[str]:
    """Functions and classes of ``pith``, but for its errors."""
    import pith

    values = {n: getattr(pith, n) for n in pith.__all__}
    code = {n: v for n, v in values.items() if inspect.isfunction(v) or isinstance(v, type)}
    return [n for n, v in code.items() if not (isinstance(v, type) and issubclass(v, Exception))]


@pytest.mark.parametrize("name", api_of_pith())
def test_the_api_has_examples_and_functions_name_their_errors(name: str):
    import pith

    example = inspect.getdoc(getattr(pith, MADE_BY.get(name, name))) or ""
    assert ">>> " in example, f"pith.{name} has no example"  # doctests run it
    if inspect.isfunction(getattr(pith, name)):
        assert "Errors:" in example, f"pith.{name} does not say which errors it raises"
