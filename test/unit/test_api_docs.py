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
