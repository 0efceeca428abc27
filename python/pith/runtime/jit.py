"""MLIR in the LLVM dialect -> relocatable object. The only part of the runtime that needs MLIR."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import PassError
from .native import library_path

if TYPE_CHECKING:
    from pith._mlir import ir


#: Of kernels. What level 2 adds finds nothing in kernels whose loops are tiled and vectorised already: 33 kernels
#: (products, patterns, attention, packing, whole modules) take 0.82 to 1.04 times as long at 1, compiling them 0.86
#: (Zen 3, 2026-11-21).
OPT_LEVEL = 1
#: Of kernels that stand in for hardware that is not there. GPU kernels compile in two thirds of the time they take at
#: level 1, and products of 200 x 200 x 256 run at 0.85 of the speed, most of the time being the emulator's own
#: (2026-11-21). AMX kernels compile in 0.65 of the time, products of 100 x 300 x 33 run as fast (2026-11-23).
EMULATED_OPT_LEVEL = 0

#: What is written to the standard error stream is the process's, so one compilation at a time listens to it.
_LISTENING = threading.Lock()


def compile_object(module: ir.Module, entries: Sequence[str], opt_level: int = OPT_LEVEL) -> bytes:
    """Compile a module for this processor and return the object's bytes.

    Args:
        module: a module in the LLVM dialect; it is not changed.
        entries: functions with ``llvm.emit_c_interface``; each must be defined and public.
        opt_level: 0 to 3, as of ``clang -O``.

    Errors: :class:`PassError` when an entry is missing or the module cannot be translated
    (operations that are not in the LLVM dialect, undefined functions, assembly that LLVM refuses).
    """
    from pith._mlir import execution_engine, ir

    if not entries:
        raise PassError("nothing to compile: no entry functions are named")
    _check_entries(module, entries)
    with _code_generator_errors(entries[0]):
        try:
            with module.context, ir.Location.unknown():
                engine = execution_engine()(
                    module, opt_level=opt_level, shared_libs=[str(library_path())], enable_object_dump=True
                )
        except RuntimeError as error:
            raise PassError(
                f"the module cannot be translated to machine code: {error}",
                where=entries[0],
                hint="every operation must be in the LLVM dialect and every called function defined",
            ) from error
        return _dump(engine, entries)


@contextlib.contextmanager
def _code_generator_errors(entry: str) -> Iterator[None]:
    """Raise what LLVM's code generator only prints: the object it makes after an error would run as if it were right.

    Everything else that was printed meanwhile is printed afterwards. (The bindings take no diagnostic handler.)
    """
    with _LISTENING, tempfile.TemporaryFile() as heard:
        sys.stderr and sys.stderr.flush()
        try:
            stream = os.dup(2)
        except OSError:  # a process without the stream
            yield
            return
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stream, 2)
            os.close(stream)
            heard.seek(0)
            said = heard.read()
            errors = [line for line in said.decode(errors="replace").splitlines() if "error: " in line]
            if said and not errors:
                os.write(2, said)
    if errors:
        raise PassError(
            f"LLVM makes no machine code of the kernel: {errors[0].split('error: ', 1)[1]}",
            where=entry,
            hint="look at the llvm.inline_asm of your module; if it has none, please report the op, formats and shapes",
        )


def _check_entries(module: ir.Module, entries: Sequence[str]) -> None:
    symbols = {
        op.attributes["sym_name"].value  # pyright: ignore[reportAttributeAccessIssue]
        for op in module.body.operations
        if op.operation.name == "llvm.func" and len(op.regions[0].blocks)
    }
    for entry in entries:
        if f"_mlir_ciface_{entry}" not in symbols:
            defined = sorted(name.removeprefix("_mlir_ciface_") for name in symbols if name.startswith("_mlir_ciface_"))
            raise PassError(
                f"the module defines no entry function '{entry}'",
                hint=f"it has {', '.join(defined) or 'none'}; entries need llvm.emit_c_interface before the "
                "conversion to the LLVM dialect",
            )


def _dump(engine: object, entries: Sequence[str]) -> bytes:
    """The object of an engine; looking an entry up is what makes the engine compile."""
    engine.raw_lookup(f"_mlir_ciface_{entries[0]}")  # pyright: ignore[reportAttributeAccessIssue]
    descriptor, name = tempfile.mkstemp(prefix="pith-", suffix=".o")
    os.close(descriptor)
    path = pathlib.Path(name)
    try:
        engine.dump_to_object_file(name)  # pyright: ignore[reportAttributeAccessIssue]
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
