"""Build a native object from pith-level IR."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from pith._mlir import ir
from pith.dialect import encoding_of, make_context, shape_of, verify_module
from pith.dialect.pattern import PatternType
from pith.lowering.cpu import run_stage, stages_of
from pith.lowering.isa import HOST, Isa, parse_isa
from pith.lowering.module_isa import ISA_ATTRIBUTE, isa_of, set_isa
from pith.passes.analysis.dynamic import ATTRIBUTE as DYNAMIC_MARK
from pith.passes.analysis.equal_sizes import equal_sizes
from pith.passes.guard_asserts import CHECKS_ATTRIBUTE
from pith.passes.pipeline.diagnostics import collect

from ..errors import IRError, UnsupportedError, naming
from ..excerpts import with_excerpts
from ..files import name_of_file
from ..runtime import MemRefSpec, ScalarSpec, Signature
from ..runtime.artifact import Artifact
from ..runtime.cpu import cpu_features
from ..runtime.jit import EMULATED_OPT_LEVEL, OPT_LEVEL, compile_object
from .contexts import borrowed_context
from .marked import decide_marked
from .params import Param
from .sizes import SizeRules, rules_of

#: Linkage of an entry function: only the C interface is called, and one copy of the code is enough.
_INTERNAL = "#llvm.linkage<internal>"

#: The name of a value in MLIR text; ``%0`` is none that says anything.
_VALUE_NAME = re.compile(r"%([A-Za-z_$.-][\w$.-]*)")

#: Attribute of a memref parameter that the kernel only reads: read-only arrays may be passed.
READ_ONLY = "pith.read_only"

#: Attribute of a result: its integers have no sign, which types of MLIR that kernels have cannot say.
UNSIGNED = "pith.unsigned"


def parse(text: str, isa: str = HOST, path: str | None = None, context: ir.Context | None = None) -> ir.Module:
    """Parse and verify MLIR text; ``isa`` is put down unless the text names one.

    Args:
        path: the file that holds the text, which locations then name.
        context: with pith loaded; None for one of the module's own.

    Errors: :class:`pith.IRError` with MLIR's own message.
    """
    home = make_context() if context is None else context
    with home:
        try:
            module = ir.Module.parse(text) if path is None else ir.Module.parseFile(path)
        except ir.MLIRError as e:
            said = str(e).removeprefix("Unable to parse module assembly:\n")
            raise IRError(with_excerpts(f"the IR does not parse or verify:\n{said}", text)) from e
        with collect(home) as found:
            good = verify_module(module)
        if not good:
            raise IRError(with_excerpts("\n".join(["the IR does not verify:", *map(str, found)]), text))
        if isa != HOST and ISA_ATTRIBUTE not in module.operation.attributes:
            set_isa(module, parse_isa(isa))
    return module


def parse_for_cpu(text: str, isa: str = HOST, context: ir.Context | None = None) -> ir.Module:
    """:func:`parse`; ops marked ``pith.dynamic`` are decided by this machine's tile database."""
    module = parse(text, isa, context=context)
    if DYNAMIC_MARK in text:
        with collect(module.context):  # the error that is raised says all
            decide_marked(module)
    return module


def build(text: str, entry: str, path: str = "auto", isa: str = HOST) -> Artifact:
    """Compile the function ``entry`` of a module at the pith, linalg or vector level to an object.

    The artefact's ``meta`` holds the parameters (:class:`Param`) as JSON, and the instruction set.
    Errors: :class:`pith.IRError`, :class:`pith.PassError`, :class:`pith.UnsupportedError`.
    """
    with borrowed_context() as context:
        return _build(parse_for_cpu(text, isa, context), text, entry, path, isa)


def _build(module: ir.Module, text: str, entry: str, path: str, isa: str) -> Artifact:
    _require_runnable(isa_of(module))
    with module.context, ir.Location.unknown():
        _require_bodies(module)
        function = function_of(module, entry)
        function.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        function.attributes["llvm.linkage"] = ir.Attribute.parse(_INTERNAL)
        params, sizes = parameters_of(function, text), size_rules_of(function)
        written = _written(function)
        *above, last = stages_of(module, path)
        for stage in above:
            run_stage(module, stage)
        signature = _signature(function_of(module, entry), params, written)
        run_stage(module, last)
        described = {"params": [p.to_json() for p in params], "sizes": sizes.to_json()}
        meta = {**described, "checks": _checks(module), "isa": isa, "tiles": _tiles(module)}
        level = EMULATED_OPT_LEVEL if isa_of(module).emulated else OPT_LEVEL
        obj = compile_object(module, [entry], level)
    return Artifact(obj, (signature,), meta)


def _require_bodies(module: ir.Module) -> None:
    """Refuse functions that are only declared: nothing but pith's runtime is linked to a kernel."""
    for op in module.body.operations:
        if op.operation.name == "func.func" and op.is_external and not op.sym_name.value.startswith("pith_"):
            name = op.sym_name.value
            raise IRError(f"function {name!r} is declared and not defined", hint="give it a body, or remove it")


def _require_runnable(isa: Isa) -> None:
    """Refuse what the host does not execute: its code generator could not even select the instructions."""
    if not isa.runs_on(cpu_features()):
        missing = ", ".join(sorted(set(isa.features) - cpu_features()))
        raise UnsupportedError(
            f"this processor does not execute {isa.name!r}: it lacks {missing}",
            hint=f"target='emulate:{isa.name}' runs such kernels slowly; pith-opt --emit=asm shows their code",
        )


def _tiles(module: ir.Module) -> bool:
    """True when a module in the llvm dialect uses AMX tiles."""
    isa = isa_of(module)
    return (isa.amx_bf16 or isa.amx_int8) and not isa.emulated and "llvm.x86.tile" in str(module)


def _checks(module: ir.Module) -> dict[str, str]:
    """Messages of the module's run-time checks by id."""
    attributes = module.operation.attributes
    if CHECKS_ATTRIBUTE not in attributes:
        return {}
    return {named.name: ir.StringAttr(named.attr).value for named in ir.DictAttr(attributes[CHECKS_ATTRIBUTE])}


def lower_to(text: str, path: str = "auto", isa: str = HOST) -> Mapping[str, str]:
    """IR text of every level from ``pith`` down to ``llvm``."""
    module = parse_for_cpu(text, isa)
    with module.context, ir.Location.unknown():
        levels = {"pith": str(module)}
        for stage in stages_of(module, path):
            run_stage(module, stage)
            levels[stage.level] = str(module)
    return levels


def emit_assembly(llvm_text: str) -> str:
    """Assembly of llvm-dialect IR for this machine."""
    from .emit import emit

    module = parse(llvm_text)
    with module.context:
        return emit(module, "asm")


def write_levels(levels: Mapping[str, str], directory: str | os.PathLike[str]) -> pathlib.Path:
    """Write one file per level, numbered in order; returns the directory."""
    target = pathlib.Path(name_of_file(directory, "dump"))
    with naming(target):
        target.mkdir(parents=True, exist_ok=True)
        for number, (level, text) in enumerate(levels.items()):
            suffix = {"ptx": "ptx", "asm": "s"}.get(level, "mlir")
            (target / f"{number}-{level}.{suffix}").write_text(text)
    return target


def function_of(module: ir.Module, entry: str) -> ir.OpView:
    """The function ``entry`` of a module.

    Errors: :class:`pith.IRError` naming those there are.
    """
    functions = [op for op in module.body.operations if op.operation.name == "func.func"]
    for op in functions:
        if op.sym_name.value == entry:
            return op
    names = ", ".join(op.sym_name.value for op in functions) or "none"
    raise IRError(f"no function named {entry!r}", hint=f"the module defines: {names}")


def entry_name(text: str) -> str:
    """:func:`only_entry` of a module as text."""
    return only_entry(parse(text))


def only_entry(module: ir.Module) -> str:
    """Name of the only public function with a body.

    Errors: :class:`pith.IRError` when there is none or more than one.
    """
    functions = [op for op in module.body.operations if op.operation.name == "func.func"]
    if not functions and any(op.operation.name == "llvm.func" for op in module.body.operations):
        raise IRError(
            "expects a module above the llvm level", hint="pith-opt FILE --emit=asm makes machine code of this one"
        )
    public = [op.sym_name.value for op in functions if not op.is_external and _is_public(op)]
    if len(public) != 1:
        raise IRError(
            f"expects one public function, found {', '.join(public) or 'none'}",
            hint="name it: pith.compile(..., entry=), or --entry",
        )
    return public[0]


def _is_public(op: ir.OpView) -> bool:
    visibility = op.operation.attributes.get("sym_visibility") if "sym_visibility" in op.operation.attributes else None
    return visibility is None or visibility.value == "public"


def parameters_of(function: ir.OpView, text: str = "") -> list[Param]:
    """What a function at the pith level takes, in order, named by ``pith.name`` or as the ``text`` it is from does."""
    lines = text.splitlines()
    attrs = list(function.arg_attrs) if "arg_attrs" in function.operation.attributes else []
    out = []
    for number, type_ in enumerate(function.type.inputs):
        named = ir.DictAttr(attrs[number]) if attrs else {}
        name = named["pith.name"].value if "pith.name" in named else _written_name(function, number, lines)
        if isinstance(type_, PatternType):
            listed = type_.to_shape()
            out.append(Param(name, "pattern", "i32", listed.sizes, granularity=listed.granularity))
            continue
        if not isinstance(type_, (ir.RankedTensorType, ir.MemRefType)):
            out.append(Param(name, "number", str(type_)))
            continue
        fmt = encoding_of(type_)
        if fmt is None and "#sparse_tensor.encoding" in str(type_):
            raise IRError(
                f"argument {name} has upstream's encoding: {type_}",
                hint="calls take #pith.format, see docs/guide/formats.md",
            )
        kind = "dense" if fmt is None else "encoded"
        out.append(Param(name, kind, element_name(type_.element_type), shape_of(type_), fmt))
    return out


def _written_name(function: ir.OpView, number: int, lines: Sequence[str]) -> str:
    """What the text says before the colon of an argument, where that is what its location points at."""
    place = function.arguments[number].location
    if isinstance(place, ir.FileLineColLoc) and 0 < place.start_line <= len(lines):
        written = _VALUE_NAME.match(lines[int(place.start_line) - 1], place.start_col - 1)
        if written is not None:
            return written[1]
    return f"arg{number}"


def size_rules_of(function: ir.OpView) -> SizeRules:
    """What the ops of a function at the pith level demand of a call's dynamic sizes."""
    return rules_of(equal_sizes(function))


def element_name(type_: ir.Type) -> str:
    """``f32``, ``i8``, ``index``, ...: the runtime's name of an element type."""
    text = str(type_)
    return {"complex<f32>": "complex64", "complex<f64>": "complex128"}.get(text, text)


def _written(function: ir.OpView) -> list[bool]:
    """Which parameters a kernel may write to: memrefs, but for those that say ``pith.read_only``."""
    attrs = list(function.arg_attrs) if "arg_attrs" in function.operation.attributes else []
    read_only = [READ_ONLY in ir.DictAttr(a) for a in attrs] or [False] * len(function.type.inputs)
    return [isinstance(t, ir.MemRefType) and not fixed for t, fixed in zip(function.type.inputs, read_only)]


def _signature(function: ir.OpView, params: list[Param], written: list[bool]) -> Signature:
    """The native signature, read off the bufferized function; parameters give the names.

    A kernel may write to what was a memref in the source, unless that says otherwise; tensors are protected.
    """
    names = [(p.name, w) for p, w in zip(params, written) for _ in range(p.native_count)]
    args = [_spec(t, name, w) for t, (name, w) in zip(function.type.inputs, names, strict=True)]
    results = [_spec(t, f"result {i}", False) for i, t in enumerate(function.type.results)]
    if "res_attrs" in function.operation.attributes:
        said = [UNSIGNED in ir.DictAttr(a) for a in function.operation.attributes["res_attrs"]]
        results = [dataclasses.replace(r, unsigned=True) if u else r for r, u in zip(results, said)]
    return Signature(function.sym_name.value, tuple(args), tuple(results))


def _spec(type_: ir.Type, name: str, writable: bool) -> MemRefSpec | ScalarSpec:
    if not isinstance(type_, ir.MemRefType):
        if isinstance(type_, ir.RankedTensorType):
            raise UnsupportedError(f"{name}: {type_} was not bufferized")
        return ScalarSpec(str(type_), name)
    layout = "identity" if "strided" not in str(type_) else "strided"
    return MemRefSpec(element_name(type_.element_type), shape_of(type_), name, writable=writable, layout=layout)
