"""The command line of ``pith-opt``: flags by argparse, pass shorthands in order of appearance."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Sequence

DESCRIPTION = "Run passes of pith and MLIR over a file of MLIR and print what comes out."

EPILOG = """\
naming passes:
  --<pass>[=options] and --<pipeline> run a pass or pipeline of pith or upstream, in order of appearance;
  options are separated by spaces:  pith-opt --pith-select-tiles=target=cpu --convert-scf-to-cf --cse a.mlir
  --list-passes shows the names, pith-opt --<pass> --help what a pass does and its options.
  --pass-pipeline says the same as one text, with nesting:
  pith-opt --pass-pipeline='builtin.module(pith-select-tiles{target=cpu},func.func(canonicalize))' a.mlir
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of every flag that is not a pass."""
    parser = argparse.ArgumentParser(
        prog="pith-opt",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
        usage="%(prog)s [flags] [--<pass>[=options] ...] [input]",
    )
    parser.add_argument("input", nargs="?", default="-", help="file to read; - is stdin (default)")
    _add_input(parser.add_argument_group("input"))
    _add_passes(parser.add_argument_group("passes"))
    _add_output(parser.add_argument_group("output"))
    _add_tracing(parser.add_argument_group("tracing"))
    _add_queries(parser.add_argument_group("queries (print and exit)"))
    return parser


def _add_input(group) -> None:
    flag = group.add_argument
    flag("--split-input-file", nargs="?", const="// -----", metavar="MARKER",
         help="process the chunks between lines '// -----' on their own")  # fmt: skip
    flag("--output-split-marker", default="// -----", metavar="MARKER",
         help="line between the outputs of chunks (default '// -----')")  # fmt: skip
    flag("--verify-diagnostics", action="store_true",
         help="check diagnostics against expected-error@+1 {{...}} comments; print no IR")  # fmt: skip
    flag("--allow-unregistered-dialect", action="store_true", help="accept ops of unknown dialects")
    flag("--no-implicit-module", action="store_true", help="do not wrap the input in a module")
    flag("--run-reproducer", action="store_true", help="run the pipeline stored in the input")


def _add_passes(group) -> None:
    flag = group.add_argument
    flag("--pass-pipeline", metavar="TEXT", help="pipeline to run: 'builtin.module(a,b{x=1},func.func(c))'")
    flag("--load", "--load-pass-plugin", action="append", default=[], metavar="FILE.py|MODULE",
         help="make the passes that a Python file or module defines known")  # fmt: skip
    flag("--verify-each", nargs="?", const="1", default="1", metavar="0|1", type=_switch,
         help="verify after every pass (default 1)")  # fmt: skip
    flag("--dump-pass-pipeline", action="store_true", help="print the pipeline that will run to stderr")
    flag("--mlir-pass-pipeline-crash-reproducer", metavar="FILE",
         help="when a pass fails, write the module before it and the rest of the pipeline to FILE")  # fmt: skip


def _add_output(group) -> None:
    flag = group.add_argument
    flag("-o", dest="output", default="-", metavar="FILE", help="file to write; - is stdout (default)")
    flag("--emit", choices=("mlir", "llvm", "ptx", "asm"), default="mlir", help="what to print (default mlir)")
    flag("--emit-bytecode", action="store_true", help="write MLIR bytecode")
    flag("--mlir-print-op-generic", action="store_true", help="print ops in generic form")
    flag("--mlir-print-debuginfo", action="store_true", help="print locations")
    flag("--mlir-pretty-debuginfo", action="store_true", help="print locations for reading; they do not parse back")
    flag("--mlir-print-skip-regions", action="store_true", help="print ops without their regions")
    flag("--mlir-use-nameloc-as-prefix", action="store_true", help="name values after their name locations")
    flag("--mlir-print-local-scope", action="store_true", help="print attributes and types in place, without aliases")
    flag("--mlir-elide-elementsattrs-if-larger", type=int, metavar="N",
         help="print constants of more than N elements as dense_resource<__elided__>")  # fmt: skip
    flag("--mlir-elide-resource-strings-if-larger", type=int, metavar="N",
         help="print resources of more than N characters as \"__elided__\"")  # fmt: skip


def _add_tracing(group) -> None:
    flag = group.add_argument
    flag("--mlir-print-ir-module-scope", action="store_true", help="accepted: dumps always show the whole module")
    flag("--mlir-disable-threading", action="store_true", help="accepted: passes always run on one thread")
    flag("--mlir-print-ir-before-all", action="store_true", help="print the IR before every pass")
    flag("--mlir-print-ir-after-all", action="store_true", help="print the IR after every pass")
    flag("--mlir-print-ir-before", action="extend", type=_names, default=[], metavar="PASS,..",
         help="print the IR before these passes")  # fmt: skip
    flag("--mlir-print-ir-after", action="extend", type=_names, default=[], metavar="PASS,..",
         help="print the IR after these passes")  # fmt: skip
    flag("--mlir-print-ir-after-change", action="store_true", help="print after a pass only if it changed the IR")
    flag("--mlir-print-ir-after-failure", action="store_true", help="print after a pass only if it failed")
    flag("--mlir-print-ir-tree-dir", metavar="DIR",
         help="write those dumps (default: after every pass) as files below DIR")  # fmt: skip
    flag("--mlir-timing", action="store_true", help="print the time of every pass to stderr")


def _add_queries(group) -> None:
    flag = group.add_argument
    flag("-h", "--help", action="store_true", help="this text, or with --<pass> what that pass does and its options")
    flag("--list-passes", action="store_true", help="passes and pipelines of pith and upstream")
    flag("--show-dialects", action="store_true", help="available dialects")
    flag("--dump-irdl", action="store_true", help="the pith dialect as IRDL, for mlir-opt --irdl-file")
    flag("--version", action="store_true", help="versions of pith and MLIR")


@dataclasses.dataclass
class CommandLine:
    """Parsed flags, and the passes named as shorthands: ``(name, options or None)`` in order."""

    flags: argparse.Namespace
    passes: list[tuple[str, str | None]]


def parse_command_line(argv: Sequence[str]) -> CommandLine:
    """Split ``argv`` into flags and pass shorthands; exits with status 1 and a message on a wrong one.

    Example:
        >>> line = parse_command_line(["--cse", "-convert-scf-to-cf=allow-pattern-rollback=0", "-o", "out", "a.mlir"])
        >>> line.passes, line.flags.output
        ([('cse', None), ('convert-scf-to-cf', 'allow-pattern-rollback=0')], 'out')
    """
    parser = build_parser()
    parser.error = _error  # type: ignore[method-assign]
    known = set(parser._option_string_actions)
    rest: list[str] = []
    passes: list[tuple[str, str | None]] = []
    arguments = iter(argv)
    for argument in arguments:
        flag = _double_dashed(argument)
        name, equals, value = flag.partition("=")
        if name in known:
            action = parser._option_string_actions[name]
            if action.nargs == "?" and not equals:
                flag = f"{name}={action.const}"  # an optional value is given with `=` or not at all
            rest.append(flag)
            if action.nargs is None and not equals:
                rest.extend(itertools.islice(arguments, 1))
        elif flag.startswith("--") and len(flag) > 2:
            passes.append((name[2:], _unbraced(value) if equals else None))
        else:
            rest.append(argument)
    flags = parser.parse_args(rest)
    if passes and flags.pass_pipeline is not None:
        _error(f"--pass-pipeline and --{passes[0][0]} cannot be used together")
    return CommandLine(flags, passes)


def _double_dashed(argument: str) -> str:
    """LLVM tools take ``-flag`` for ``--flag``; single letters stay."""
    if argument.startswith("-") and not argument.startswith("--") and len(argument.partition("=")[0]) > 2:
        return "-" + argument
    return argument


def _unbraced(value: str) -> str:
    return value[1:-1] if value[:1] + value[-1:] == "{}" else value


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _switch(text: str) -> bool:
    if text.lower() not in ("0", "1", "true", "false"):
        raise argparse.ArgumentTypeError(f"expected 0 or 1, got {text!r}")
    return text.lower() in ("1", "true")


def _error(message: str):
    sys.stderr.write(f"pith-opt: error: {message}\n  hint: `pith-opt --help` shows the flags\n")
    raise SystemExit(1)
