"""What ``torch.compile`` does with pith's own files: their functions are calls in its graphs, or run between them."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar, cast

Kind = TypeVar("Kind")
Call = TypeVar("Call", bound=Callable[..., Any])

#: Dynamo's rules of what is traced. It imports them when something is compiled, perhaps long after pith.
_RULES = "torch._dynamo.trace_rules"

#: Functions that are calls in graphs, and classes whose objects are constants of such calls or taken apart for them.
_whole: list[Any] = []

#: What may be traced: ``pith/torch``, where functions that run kernels are marked as whole calls, and what such calls
#: and their constants are to Dynamo.
_TRACED = ("torch", "traceable.py", "untraced.py")


def leave_untraced() -> None:
    """Have Dynamo call pith's functions instead of tracing into them, now or as soon as it is imported.

    Semantics: the caller's graph ends before such a call and goes on behind it, silently; :func:`whole_call` makes
        calls part of graphs. Traced, the functions would be cut to pieces, with warnings for caches and native code.
        ``import torch`` is left to who needs it.
    """
    rules = sys.modules.get(_RULES)
    if rules is not None:
        _skip(rules)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def whole(cls: type[Kind]) -> type[Kind]:
    """A frozen dataclass that Dynamo hands to operators (``A @ x``) and to :func:`whole_call` as it is, one object.

    It takes apart what it knows to be frozen, and makes another of traced fields, which are no buffers.

    >>> import dataclasses
    >>> @whole
    ... @dataclasses.dataclass(frozen=True)
    ... class Pair:
    ...     x: int
    >>> dataclasses.replace(Pair(1), x=2)
    Pair(x=2)
    """
    del cls.__dataclass_params__  # pyright: ignore[reportAttributeAccessIssue]
    return _told(cls)


def in_parts(cls: type[Kind]) -> type[Kind]:
    """A dataclass that Dynamo hands to :func:`whole_call` field by field, tensors of the graph among them.

    >>> import dataclasses
    >>> @in_parts
    ... @dataclasses.dataclass
    ... class Marked:
    ...     x: int
    >>> Marked(1)
    Marked(x=1)
    """
    return _told(cls)


def whole_call(function: Call) -> Call:
    """A function that Dynamo does not trace, but puts into its graph as a call; what torch does in it is traced later.

    >>> @whole_call
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(2)
    4
    """
    return _told(function)


def _told(new: Any) -> Any:
    _whole.append(new)
    rules = sys.modules.get(_RULES)
    if hasattr(rules, "_nonstrict_trace_callable_ids"):
        _tell(rules, new)
    return new


def _tell(rules: Any, new: Any) -> None:
    if not isinstance(new, type):
        rules._allowed_callable_ids.add(id(new))
        rules._nonstrict_trace_callable_ids.add(id(new))
        return
    from torch._dynamo.eval_frame import skip_code
    from torch.utils import _pytree as pytree  # its register_constant wants a comparison other than by identity

    if hasattr(new, "__dataclass_params__"):
        if new not in pytree.SUPPORTED_NODES:
            pytree.register_dataclass(new)
        return
    if new in pytree.CONSTANT_NODES:
        return
    pytree._private_register_pytree_node(
        new,
        lambda value: ([], pytree.ConstantNode(value)),
        lambda _, constant: constant.value,  # pyright: ignore[reportOptionalMemberAccess]
        flatten_with_keys_fn=lambda value: ([], pytree.ConstantNode(value)),
    )
    pytree.CONSTANT_NODES.add(new)
    skip_code(new.__init__.__code__)  # generated, in no file that is skipped: half an object is no constant


def _skip(rules: Any) -> None:
    entries = sorted(os.scandir(os.path.dirname(__file__)), key=lambda entry: entry.path)
    for entry in entries:
        if entry.name not in _TRACED and (entry.is_dir() or entry.name.endswith(".py")):
            rules.SKIP_DIRS.append(f"{entry.path}/" if entry.is_dir() else entry.path)
    rules._recompile_re()
    from .traceable import know_torch

    know_torch()
    for new in _whole:
        _tell(rules, new)


class _Finder:
    """Finds nothing but Dynamo's rules, once, to add to them when they have been loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _RULES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast(Any, _Loader(spec.loader))
        return spec


class _Loader:
    """Loads the rules as their own loader does, and adds to them. Not an ``importlib.abc`` class: that takes 17 ms."""

    def __init__(self, loader: Any):
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _skip(module)
