"""LLVM IR text -> PTX or host assembly, through llvmlite (the only place that imports it).

The host bindings print the LLVM IR of LLVM 24; llvmlite parses that of LLVM 22. :func:`to_llvm22`
is the one function that bridges them; every entry of its table is there because a construct pith
emits broke without it, and has a test.
"""

from __future__ import annotations

import functools
import re
import struct
import threading
from collections.abc import Callable
from typing import Any

from pith._mlir import ir, llvm
from pith.errors import PassError, ToolError, UnsupportedError

from .targets import CHIPS, GpuTarget

TRIPLE = "nvptx64-nvidia-cuda"


def _old_floats(line: re.Match[str]) -> str:
    """The constants of a line in the bits LLVM 22 reads: ``0xH...`` f16, ``0xR...`` bf16, ``0x...`` f32 (as f64)."""
    kind = "double"

    def old(match: re.Match[str]) -> str:
        nonlocal kind
        if match["type"]:
            kind = match["type"]
        elif match["bits"]:
            return _bits_of(kind, bytes.fromhex(match["bits"]))
        elif match["special"]:
            return _bits_of(kind, _encoded(kind, float(match["special"].replace("q", ""))))
        elif kind != "double":
            return _bits_of(kind, _encoded(kind, float(match["decimal"])))
        return match[0]

    return _FLOAT_TOKEN.sub(old, line[0])


#: A float type, or a constant of the float type named last before it.
_FLOAT_TOKEN = re.compile(
    r"\b(?P<type>half|bfloat|float|double)\b|\bf0x(?P<bits>[0-9A-Fa-f]+)\b|(?<![\w.%@$\"])(?P<special>[+-](?:inf|qnan))\b"
    r"|(?<![\w.%@$\"])(?P<decimal>-?\d+\.\d+e[+-]\d+)\b"
)


def _encoded(kind: str, value: float) -> bytes:
    """Big-endian bits of a value, rounded to ``kind``."""
    if kind == "half":
        return struct.pack(">e", value)
    if kind == "double":
        return struct.pack(">d", value)
    bits = struct.pack(">f", value)
    if kind == "float":
        return bits
    word = int.from_bytes(bits, "big")
    return ((word + 0x7FFF + (word >> 16 & 1)) >> 16).to_bytes(2, "big")


def _bits_of(kind: str, bits: bytes) -> str:
    if kind == "float":
        bits = struct.pack(">d", *struct.unpack(">f", bits))
    return {"half": "0xH", "bfloat": "0xR"}.get(kind, "0x") + bits.hex().upper()


#: (pattern, replacement) per construct.
_REWRITES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # Floats are printed as the shortest decimal that rounds to them, or as `f0x` and their bits;
    # LLVM 22 refuses decimals that are not exact. Infinities and NaN have names now.
    (re.compile(r"^.*(?:\bf0x|\de[+-]\d|[+-](?:inf|qnan)\b).*$", re.MULTILINE), _old_floats),
    # `gpu.dynamic_shared_memory` becomes a defined, internal array of no elements. NVPTX gives that
    # one byte of static shared memory; dynamic shared memory is an external array of unknown size.
    (
        re.compile(r"^(@__dynamic_shmem__\d+) = internal (addrspace\(3\) global \[0 x i8\]) undef", re.MULTILINE),
        r"\1 = external \2",
    ),
    # Extracting and depositing bits is x86's alone there; what uses them has BMI2.
    (re.compile(r"@llvm\.(pext|pdep)\.i64\b"), r"@llvm.x86.bmi.\1.64"),
    # Attributes of intrinsics belong to the LLVM that reads them: it adds its own to every intrinsic
    # it knows, so those of a newer LLVM (which it may not know) are not needed.
    (re.compile(r"^(declare [^\n]*@llvm\.[^\n]*\)) #\d+$", re.MULTILINE), r"\1"),
)

_LOCK = threading.Lock()


def to_llvm22(text: str) -> str:
    """Rewrite the LLVM IR text of the host bindings into what llvmlite's LLVM parses.

    >>> print(to_llvm22("@__dynamic_shmem__0 = internal addrspace(3) global [0 x i8] undef, align 16"))
    @__dynamic_shmem__0 = external addrspace(3) global [0 x i8], align 16
    >>> to_llvm22("%1 = fadd float %0, f0x2B8CBCCC"), to_llvm22("store half 3.920000e+00, ptr %p")
    ('%1 = fadd float %0, 0x3D71979980000000', 'store half 0xH43D7, ptr %p')
    >>> to_llvm22("store bfloat 1.000000e-01, ptr %p")
    'store bfloat 0xR3DCD, ptr %p'
    >>> to_llvm22("select i1 %c, float -inf, float +qnan"), to_llvm22("fcmp oeq <2 x half> splat (half +inf), %x")
    ('select i1 %c, float 0xFFF0000000000000, float 0x7FF8000000000000', 'fcmp oeq <2 x half> splat (half 0xH7C00), %x')
    >>> to_llvm22("%2 = call i64 @llvm.pext.i64(i64 %0, i64 %1)")
    '%2 = call i64 @llvm.x86.bmi.pext.64(i64 %0, i64 %1)'
    """
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    used = set(re.findall(r" (#\d+)(?! =)\b", re.sub(r"^attributes .*$", "", text, flags=re.MULTILINE)))
    lines = text.splitlines()
    return "\n".join(x for x in lines if not x.startswith("attributes #") or x.split()[1] in used)


def llvm_ir(op: ir.Operation | ir.OpView) -> str:
    """LLVM IR text of a module or ``gpu.module`` whose content is in the ``llvm`` dialect.

    Errors: :class:`pith.PassError` naming the first op that is not.
    """
    operation = op.operation
    _require_llvm(operation)
    with operation.context, operation.location:
        try:
            return llvm.translate_module_to_llvmir(operation)
        except Exception as e:
            raise PassError(f"cannot be translated to LLVM IR: {e}", where=operation.name, hint=_LOWER_FIRST) from e


_LOWER_FIRST = "lower it first: --pith-to-llvm for a CPU, --pith-to-nvvm or --gpu-to-nvvm for a GPU"


def _require_llvm(root: ir.Operation) -> None:
    """The translation crashes on some ops it does not know, so they are refused before it sees them."""
    foreign: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name in ("builtin.module", "gpu.module") or op.name.partition(".")[0] in ("llvm", "nvvm", "omp"):
            return ir.WalkResult.ADVANCE
        foreign.append(op)
        return ir.WalkResult.INTERRUPT

    root.walk(visit, ir.WalkOrder.PRE_ORDER)
    if foreign:
        message = f"cannot be translated to LLVM IR: holds a {foreign[0].name!r} op"
        raise PassError(message, where=str(foreign[0].location), hint=_LOWER_FIRST)


def compile_ptx_text(llvm_text: str, target: GpuTarget, opt_level: int = 3) -> str:
    """PTX of LLVM IR text for ``target``.

    Errors: :class:`pith.ToolError` when the code generator refuses the text.
    """
    with _LOCK:
        machine = _machine(TRIPLE, target.chip, f"+ptx{target.ptx_version}", opt_level)
        module = _parse(_aligned(llvm_text, target), f"for {target.chip}")
        module.triple = TRIPLE
        module.data_layout = str(machine.target_data)
        _optimise(module, machine, opt_level)
        return machine.emit_assembly(module)


def _aligned(llvm_text: str, target: GpuTarget) -> str:
    """Dynamic shared memory starts where the hardware of the chip begins to swizzle: descriptors say nothing else."""
    if not CHIPS[target.chip].wgmma:
        return llvm_text
    return re.sub(r"^(@__dynamic_shmem__\d+ = .*), align \d+$", r"\1, align 1024", llvm_text, flags=re.MULTILINE)


def cpu_assembly(llvm_text: str, opt_level: int, cpu: str | None = None) -> str:
    """Assembly of LLVM IR text for a processor by LLVM's name, by default for the machine this runs on.

    Errors: :class:`pith.ToolError` when the code generator refuses the text.
    """
    with _LOCK:
        binding = _llvmlite()
        features = "" if cpu else binding.get_host_cpu_features().flatten()
        machine = _machine(binding.get_default_triple(), cpu or binding.get_host_cpu_name(), features, opt_level)
        module = _parse(llvm_text, f"for {cpu or 'the host'}")
        module.triple = binding.get_default_triple()
        module.data_layout = str(machine.target_data)
        _optimise(module, machine, opt_level)
        return machine.emit_assembly(module)


def _optimise(module: Any, machine: Any, opt_level: int) -> None:
    """LLVM's own ``-O<level>`` on the module."""
    binding = _llvmlite()
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=opt_level))
    builder.getModulePassManager().run(module, builder)


def _parse(llvm_text: str, where: str) -> Any:
    try:
        module = _llvmlite().parse_assembly(to_llvm22(llvm_text))
        module.verify()
        _check_intrinsics(module)
    except RuntimeError as e:
        raise ToolError(
            f"the code generator does not parse this LLVM IR: {e}",
            where=where,
            hint="a construct of a newer LLVM needs an entry in pith.lowering.ptx.to_llvm22",
        ) from e
    return module


def _check_intrinsics(module: Any) -> None:
    """Refuse intrinsics this LLVM does not know: code generation would abort the process.

    :func:`to_llvm22` took their attributes away and the parser gave the known ones theirs back.
    """
    for function in module.functions:
        if function.is_declaration and function.name.startswith("llvm.") and not list(function.attributes):
            raise RuntimeError(f"unknown intrinsic {function.name}")


@functools.lru_cache(maxsize=1)
def _llvmlite() -> Any:
    import llvmlite.binding as binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding


@functools.lru_cache(maxsize=16)
def _machine(triple: str, cpu: str, features: str, opt_level: int) -> Any:
    try:
        target = _llvmlite().Target.from_triple(triple)
    except RuntimeError as e:
        raise UnsupportedError(f"this llvmlite has no {triple} code generator: {e}") from e
    return target.create_target_machine(cpu=cpu, features=features, opt=opt_level)
