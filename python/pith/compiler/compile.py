"""``pith.compile``: PyTorch modules and functions, MLIR modules and MLIR text to kernels."""

from __future__ import annotations

import contextlib
import inspect
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, FileFormatError, UnsupportedError, about_file, interrupts_kept, naming
from ..lowering.targets import CpuTarget, parse_target
from ..progress import PATIENCE, ProgressBar
from .collector import no_collection
from .kernel import compile_source
from .module import ModuleKernel, structure_of
from .sizes import SizeRules
from .weights import stored_values


@interrupts_kept()
def compile(
    program: Any,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str = "cpu",
    sparsity: Mapping[str, object] | None = None,
    dynamic_shapes: Any = None,
    entry: str | None = None,
    path: str = "auto",
    tune: bool = False,
) -> Any:
    """Compile a program to a kernel.

    Args:
        program: a ``torch.nn.Module`` or a function on tensors (needs ``args``), a ``torch.export.ExportedProgram``
            (which has examples and dynamic sizes itself); MLIR text, a path to a ``.mlir`` file, or an MLIR module
            (then ``args`` and ``sparsity`` do not apply).
        args, kwargs: example arguments, as for ``torch.export``.
        target: ``cpu``; ``cpu:avx2``, at most what the processor has; ``emulate:amx``, which runs code for
            AMX anywhere, slowly; a GPU architecture such as ``sm_90``: made anywhere, called with arrays on a GPU;
            ``emulate:sm_90``: the same kernels run and checked on the CPU, slowly.
        sparsity: name pattern -> format, see :func:`pith.torch.import_program`. Parameters are packed
            now; they must obey their format already (:func:`pith.prune` makes them). A weight whose products
            are predicted to be faster dense by more than 5 % is kept dense; ``explain()`` says which.
            :class:`pith.Quantized` stores a weight of f32 as small integers, in any format of a matrix, for CPUs;
            no times are predicted for these, they are always stored so.
            :func:`pith.dynamic` for the output of a submodule: products that read it follow its zeros at run time.
        dynamic_shapes: as for ``torch.export``.
        entry: the function to call, for MLIR with several.
        path: ``auto``, ``sparsifier`` (upstream's code generator wherever it can), ``loops``, or ``sparse``: as
            ``auto``, but every weight is stored as ``sparsity`` says, whatever the predictions are. GPUs have the
            first and the last, which are the same there.
        tune: time the products of the weights that ``sparsity`` names, as :func:`pith.tune` does, and decide by that
            which of them are kept dense; a few seconds per weight, once. CPUs only.

    Returns: a :class:`pith.Kernel`, for GPUs a :class:`pith.GpuKernel`; for modules called like the module itself.
    Errors: :class:`pith.ImportProgramError`, :class:`pith.IRError`, :class:`pith.FormatError`,
        :class:`pith.PassError`, :class:`pith.UnsupportedError`.

    Example:
        >>> k = compile('''
        ... func.func @double(%x: tensor<?xf32>) -> tensor<?xf32> {
        ...   %y = arith.addf %x, %x : tensor<?xf32>
        ...   return %y : tensor<?xf32>
        ... }''')
        >>> import numpy as np
        >>> k(np.arange(3, dtype=np.float32))
        array([0., 2., 4.], dtype=float32)
    """
    _require_one_target(target)
    if not isinstance(path, str):
        raise ArgumentError(f"expects the name of a path, got {type(path).__name__}", where="pith.compile: path")
    source = _source(program)
    if source is not None:
        if args is not None or kwargs is not None or sparsity is not None or tune:
            text = "args, kwargs, sparsity and tune do not apply to MLIR"
            raise UnsupportedError(text, hint="put formats into the types")
        with about_file(program) if _is_file(program) else contextlib.nullcontext():
            return _compile_mlir(source, entry, target, path)
    if _is_exported(program):
        from ..torch.exported_program import as_module

        program, own_args, own_kwargs, own_shapes = as_module(program)
        args, kwargs = (own_args, own_kwargs) if args is None and kwargs is None else (args, kwargs)
        dynamic_shapes = own_shapes if dynamic_shapes is None else dynamic_shapes
    if args is None:
        raise ArgumentError(
            "expects example arguments for a PyTorch program", where="pith.compile", hint="pass args=(...)"
        )
    if entry is not None:
        text = "entry is for MLIR with several functions; of a PyTorch program forward is compiled"
        raise ArgumentError(text, where="pith.compile: entry", hint="a function: pith.compile(module.other, args)")
    if tune and not isinstance(parse_target(target), CpuTarget):
        raise UnsupportedError("tune=True is for CPUs", where="pith.compile", hint="leave it out")
    return _compile_torch(program, args, kwargs, target, sparsity, dynamic_shapes, path, tune)


def _require_one_target(target: Any) -> None:
    if isinstance(target, str):
        return
    got = f"{len(target)} of them" if isinstance(target, list | tuple | set) else repr(target)
    raise ArgumentError(
        f"expects the name of one target, such as 'sm_90', got {got}",
        where="pith.compile: target",
        hint="several: pith.save([pith.compile(..., target=t) for t in targets], path), or repeat --target",
    )


def read_source(path: str | pathlib.Path) -> str:
    """The text of an MLIR file.

    Errors: :class:`pith.FileAccessError`; :class:`pith.FileFormatError` for a file that is no text.
    """
    try:
        with naming(path):
            return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise FileFormatError(f"not UTF-8 text (byte {e.object[e.start]:#04x})", where=str(path)) from None


def _is_exported(program: Any) -> bool:
    """Whether ``program`` is a ``torch.export.ExportedProgram``; torch is not imported for what is none."""
    return type(program).__name__ == "ExportedProgram" and hasattr(program, "graph_signature")


def _is_file(program: Any) -> bool:
    return isinstance(program, pathlib.Path) or (isinstance(program, str) and program.endswith(".mlir"))


def _source(program: Any) -> str | None:
    """MLIR text of ``program``, or None when it is a PyTorch program."""
    if _is_file(program):
        return read_source(program)
    if isinstance(program, str):
        return program
    if type(program).__name__ == "Module" and hasattr(program, "operation"):
        return str(program)
    if not callable(program):
        raise UnsupportedError(
            f"cannot compile a {type(program).__name__}",
            hint="pass a torch.nn.Module, a function on tensors, or MLIR (text, path or module)",
        )
    return None


def _compile_mlir(source: str, entry: str | None, target: str, path: str) -> Any:
    parsed = parse_target(target)
    if not isinstance(parsed, CpuTarget):
        from .gpu_build import compile_gpu

        _require_gpu_path(path, target)
        source = _one_function(source, entry)
        return compile_gpu(source, target, check_sizes=True)
    if entry is None:
        from .build import entry_name

        entry = entry_name(source)
    kernel = compile_source(source, entry, path=path, isa=parsed.isa)
    return kernel.with_sizes(SizeRules.from_json(kernel.artifact.meta["sizes"]))


def _require_gpu_path(path: str, target: str) -> None:
    """Refuse paths of the CPU. On GPUs weights are never kept dense, so ``sparse`` is what ``auto`` does."""
    if path not in ("auto", "sparse"):
        raise UnsupportedError(
            f"path={path!r} is for CPUs, the target is {target}",
            where="pith.compile",
            hint="path='auto', or leave it out",
        )


def _one_function(source: str, entry: str | None) -> str:
    """Modules for GPUs hold one function; text that does is taken as it is, without a parser."""
    if entry is None and source.count("func.func") == 1 and "private" not in source:
        return source
    from .entries import selected

    return selected(source, entry)


def _compile_torch(program, args, kwargs, target: str, sparsity, dynamic_shapes, path: str, tune: bool) -> Any:
    import torch

    from ..torch import import_program

    parse_target(target)
    module = program if isinstance(program, torch.nn.Module) else _as_module(program)
    _require_compilable(module)
    with ProgressBar(PATIENCE) as progress:
        progress(0.0, f"importing {type(module).__name__}")
        with no_collection():
            imported = import_program(module, args, kwargs, sparsity=sparsity, dynamic_shapes=dynamic_shapes)
        progress(0.5, f"compiling {type(module).__name__}")  # half of the time, of encoder layers
        return _compile_imported(module, imported, target, path, tune)


def _compile_imported(module: Any, imported: Any, target: str, path: str, tune: bool = False) -> ModuleKernel:
    """The kernel of an imported program, its weights packed and bound."""
    parsed = parse_target(target)
    if not isinstance(parsed, CpuTarget):
        from .gpu_build import compile_gpu

        _require_gpu_path(path, target)
        _require_real_weights(imported.parameters, target)
        kernel: Any = compile_gpu(str(imported.module), target)
        values = stored_values(imported.parameters)
        named = kernel.with_names({p.position: p.name for p in (*imported.parameters, *imported.inputs)})
        return ModuleKernel(named, imported, structure_of(module), values, imported.notes)
    from .rivals import settle

    settled = settle(imported, parsed.isa, competing=path == "auto", tuned=tune)
    kernel = compile_source(str(imported.module), imported.func_name, path=path, isa=parsed.isa)
    notes = (*imported.notes, *settled.notes)
    return ModuleKernel(kernel, settled.program, structure_of(module), settled.values, notes)


def _require_real_weights(parameters: Sequence[Any], target: str) -> None:
    quantized = next((p for p in parameters if p.quantized is not None), None)
    if quantized is not None:
        raise UnsupportedError(
            f"quantised weights run on CPUs, the target is {target}",
            where=quantized.name,
            hint="leave the weight in f32 there, or in a sparse format",
        )


def _require_compilable(module: Any) -> None:
    """Refuse layers whose own code reads values of the example: an export would fail inside them."""
    from ..torch import MoE

    for name, layer in module.named_modules():
        if isinstance(layer, MoE):
            raise UnsupportedError(
                "a pith.torch.MoE cannot be compiled: which experts a token goes through is known when it runs",
                where=name or type(module).__name__,
                hint="call it as it is, its products are compiled ones (pith.moe); compile the layers around it",
            )


def _as_module(function: Any) -> Any:
    import torch

    try:
        inspect.signature(function)
        forward = function
    except ValueError:  # built into torch

        def forward(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    return type("Function", (torch.nn.Module,), {"forward": staticmethod(forward)})()
