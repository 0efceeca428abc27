"""What ``pith-opt`` does to its input: read, split, parse, run, print."""

from __future__ import annotations

import os
import sys

from pith import dialect
from pith._mlir import ir
from pith.errors import Error, IRError, PassError, PipelineError
from pith.passes.pipeline import parse_pipeline
from pith.passes.pipeline.instruments import Instrument, IRPrinter, Timing
from pith.passes.pipeline.registry import is_known, suggest
from pith.passes.pipeline.reproducer import Reproducer, read_reproducer
from pith.passes.pipeline.upstream import implicit_anchor

from .levels import hint_for
from .opt_args import CommandLine
from .source_diagnostics import DiagnosticPrinter
from .split_input import split_input

_BYTECODE_MAGIC = b"ML\xefR"


def drive(line: CommandLine) -> int:
    """Process the input as ``line`` asks; returns the exit status."""
    flags = line.flags
    data = sys.stdin.buffer.read() if flags.input == "-" else _read(flags.input)
    marker = flags.split_input_file
    if data.startswith(_BYTECODE_MAGIC):
        chunks: list[str | bytes] = [data]
    else:
        text = _decode(data, display_name(flags.input))
        chunks = list(split_input(text, marker)) if marker else [text]
    results = [_Chunk(line, chunk, whole=not marker).process() for chunk in chunks]
    failed = None in results
    if flags.verify_diagnostics:
        return int(failed)
    outputs = [r for r in results if r is not None]
    if not failed or flags.output == "-":
        _write(flags.output, outputs, flags.output_split_marker)
    return int(failed)


class _Chunk:
    """One input, or one part of a split input, on its way through."""

    def __init__(self, line: CommandLine, source: str | bytes, *, whole: bool):
        self.line, self.flags, self.source, self.whole = line, line.flags, source, whole
        self.name = display_name(self.flags.input)
        self.timing = Timing() if self.flags.mlir_timing else None

    def process(self) -> str | bytes | None:
        """The output, or None after a failure was reported."""
        text = self.source if isinstance(self.source, str) else ""
        if self.flags.verify_diagnostics:
            from .verify_diagnostics import DiagnosticVerifier

            printer: DiagnosticPrinter = DiagnosticVerifier(self.name, text)
        else:
            printer = DiagnosticPrinter(self.name, text)
        context = dialect.make_context()
        context.emit_error_diagnostics = True
        context.allow_unregistered_dialects = self.flags.allow_unregistered_dialect
        handler = context.attach_diagnostic_handler(printer)
        try:
            with context:
                output = self._transform(context, printer)
        finally:
            handler.detach()
        if self.timing is not None:
            sys.stderr.write(self.timing.report())
        if self.flags.verify_diagnostics:
            output = ""
        return output if printer.finish() else None

    def _transform(self, context: ir.Context, printer: DiagnosticPrinter) -> str | bytes | None:
        before, module = printer.errors, None
        try:
            module = self._parse(context)
            if not dialect.verify_module(module):
                return None
            self._phase("Parser")
            self._run(module, context)
            output = self._render(module)
            self._phase("Output")
            return output
        except (IRError, PassError, ir.MLIRError) as e:
            if printer.errors == before:
                printer.report(e)
            elif isinstance(e, Error) and e.hint:
                printer.hint(e.hint)
            if module is not None and not getattr(e, "hint", None) and (hint := self._level_hint(context)):
                printer.hint(hint)
        return None

    def _level_hint(self, context: ir.Context) -> str | None:
        """What to do where the first pipeline starts at another level than the input's."""
        if not self.line.passes or self.flags.no_implicit_module:
            return None
        return hint_for(self.line.passes[0][0], self._parse(context))  # anew: passes have changed the module

    def _parse(self, context: ir.Context):
        if self.flags.no_implicit_module and isinstance(self.source, str):
            op = ir.Operation.parse(self.source, source_name=self.name, context=context)
            if op.operation.name != "builtin.module":
                return op
        if self.whole and self.flags.input != "-":
            return ir.Module.parseFile(self.flags.input, context)
        return ir.Module.parse(self.source, context)

    def _run(self, module, context: ir.Context) -> None:
        flags = self.flags
        text, verify = self._pipeline_text(context), flags.verify_each
        if flags.run_reproducer:
            text, verify = read_reproducer(self.source if isinstance(self.source, str) else "", self.name)
        pipeline = parse_pipeline(text, context)
        self._phase("Pipeline")
        if flags.dump_pass_pipeline:
            sys.stderr.write(f"{pipeline}\n")
        instruments = self._instruments()
        if flags.mlir_pass_pipeline_crash_reproducer:
            instruments.append(Reproducer(flags.mlir_pass_pipeline_crash_reproducer, verify))
        pipeline.run(module, *instruments, verify=verify, forward=True)

    def _pipeline_text(self, context: ir.Context) -> str:
        """Shorthands are nested where upstream's passes need it, as ``mlir-opt`` does."""
        if self.flags.pass_pipeline is not None:
            return self.flags.pass_pipeline
        elements = []
        for name, options in self.line.passes:
            element = name if options is None else f"{name}{{{options}}}"
            anchor = implicit_anchor(name, context)
            elements.append(f"{anchor}({element})" if anchor else element)
        return f"builtin.module({','.join(elements)})"

    def _instruments(self) -> list[Instrument]:
        flags = self.flags
        out: list[Instrument] = [] if self.timing is None else [self.timing]
        tree, on_change, on_failure = (
            flags.mlir_print_ir_tree_dir,
            flags.mlir_print_ir_after_change,
            flags.mlir_print_ir_after_failure,
        )
        before = flags.mlir_print_ir_before_all or _known_passes(flags.mlir_print_ir_before)
        after = flags.mlir_print_ir_after_all or _known_passes(flags.mlir_print_ir_after)
        if not (before or after or on_failure):
            after = on_change or tree is not None
        if before or after or on_failure:
            out.append(IRPrinter(before, after, on_change, on_failure, tree, self._asm))
        return out

    def _render(self, module) -> str | bytes:
        if self.flags.emit_bytecode:
            import io

            buffer = io.BytesIO()
            module.operation.write_bytecode(buffer)
            return buffer.getvalue()
        if self.flags.emit != "mlir":
            from ..compiler.emit import emit

            return emit(module, self.flags.emit)
        return self._asm(module)

    def _asm(self, module) -> str:
        flags = self.flags
        text = module.operation.get_asm(
            large_elements_limit=flags.mlir_elide_elementsattrs_if_larger,
            large_resource_limit=flags.mlir_elide_resource_strings_if_larger,
            enable_debug_info=flags.mlir_print_debuginfo or flags.mlir_pretty_debuginfo,
            pretty_debug_info=flags.mlir_pretty_debuginfo,
            skip_regions=flags.mlir_print_skip_regions,
            use_name_loc_as_prefix=flags.mlir_use_nameloc_as_prefix,
            print_generic_op_form=flags.mlir_print_op_generic,
            use_local_scope=flags.mlir_print_local_scope,
        )
        return text + "\n"

    def _phase(self, name: str) -> None:
        if self.timing is not None:
            self.timing.phase(name)


def _known_passes(names: list[str]) -> frozenset[str]:
    for name in names:
        if not is_known(name):
            raise PipelineError(f"unknown pass {name!r} in --mlir-print-ir-*", hint=suggest(name))
    return frozenset(names)


def display_name(path: str) -> str:
    """What to call the input ``path`` in messages."""
    return "<stdin>" if path == "-" else path


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise Error(f"not UTF-8 text (byte {data[e.start]:#04x})", where=f"{name}:{line}") from None


def _write(path: str, outputs: list[str | bytes], marker: str) -> None:
    if any(isinstance(output, bytes) for output in outputs):
        if path == "-" and os.isatty(1):
            raise Error("bytecode is not printed to a terminal", hint="give -o FILE or redirect the output")
        data = b"".join(output if isinstance(output, bytes) else output.encode() for output in outputs)
    else:
        data = f"{marker}\n".join(map(str, outputs)).encode()
    if path != "-":
        with open(path, "wb") as file:
            file.write(data)
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
