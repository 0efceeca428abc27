"""From ``nn.Module`` to an FX graph whose placeholders are all the tensors it reads."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from ..errors import Error, ImportProgramError, UnsupportedError
from .calls import kept_out
from .decompositions.fused_attention import Attentions
from .decompositions.retracing import decomposed
from .decompositions.table import decomposition_table
from .layouts import stand_in
from .locations import keep_model_frames, raised_at
from .ops import MARK
from .quiet import errors_told_once
from .rewrites.complexes import split_complex
from .rewrites.grouped_products import recognise_grouped_products
from .rewrites.picked_rows import widen_picked_rows
from .rewrites.size_extremes import spell_out_extremes
from .rewrites.spelled_attention import recognise_attention
from .rewrites.splats import fold_splats
from .rewrites.unsigned import widen_bytes
from .rewrites.value_sizes import COMPUTE_ON_ALL, require_known_sizes
from .rewrites.views import resolve_views
from .size_guards import convolutions_of_any_size
from .small_sizes import smallest_sizes

_KINDS = {
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
    InputKind.USER_INPUT: "input",
}


#: What to do about results and arguments that hold keys and values.
_OF_CACHES = "for a cache of transformers see 'Decoders that generate' in docs/guide/torch.md"

#: Python values that may stand among the arguments; they become part of the program.
_FIXED = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class Placeholder:
    """A placeholder that stays: its node, what kind of operand it is, and the operand's dotted name."""

    node: torch.fx.Node
    kind: str
    name: str


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export ready for the FX importer.

    Attributes:
        program: the exported program; its graph has only tensors in its signature.
        placeholders: in argument order.
        unused: dotted names of tensors ``forward`` does not read.
        fixed: arguments that are Python constants, by index among the flat arguments.
        constants: results that are Python constants, by index among the flat results.
        unsigned: tensors of uint8 among the results, by index among the flat results.
        smallest: dynamic sizes, as torch's symbols -> the smallest the program works for, up to 2.
        in_spec, out_spec: structure of the call and of the result.
        names: of the arguments that ``forward`` takes by position or by name.
        notes: what became of ops that there are several ways to compute.
    """

    program: torch.export.ExportedProgram
    placeholders: tuple[Placeholder, ...]
    unused: tuple[str, ...]
    fixed: dict[int, Any]
    constants: dict[int, Any]
    unsigned: frozenset[int]
    smallest: Mapping[Any, int]
    in_spec: pytree.TreeSpec
    out_spec: pytree.TreeSpec
    names: tuple[str, ...]
    notes: tuple[str, ...]


def input_leaves(module: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves of a call by name: ``x``, ``args.0`` for ``*args``, ``batch.ids`` inside containers.

    Errors: :class:`pith.ImportProgramError` for a leaf that is neither a tensor nor None nor a Python constant.
    """
    leaves, _ = pytree.tree_flatten_with_path((_argument_names(module, args), dict(kwargs)))
    named = {".".join(_key_text(key) for key in path[1:]): leaf for path, leaf in leaves}
    for name, leaf in named.items():
        if leaf is not None and not isinstance(leaf, (torch.Tensor, *_FIXED)):
            raise ImportProgramError(
                f"argument {name!r} is of type {type(leaf).__name__}; arguments are tensors, containers of them, "
                "and constants (bool, int, float, str, None)",
                where=f"{type(module).__name__}.forward",
                hint=f"pass its tensors, and make it in a module around this one ({_OF_CACHES})",
            )
    return named


def export(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    dynamic_shapes: Any,
    marked: Sequence[str] = (),
) -> Exported:
    """Export ``module`` with weights as placeholders; outputs of the ``marked`` submodules get ``pith.mark``.

    Semantics: a ``torch.autocast`` region around the call does not count, as in ``torch.export``; one inside of
        ``forward`` does.
    Errors: :class:`pith.ImportProgramError` with the model's source line when torch cannot export
    it, :class:`pith.UnsupportedError` when ``forward`` changes its buffers or arguments.
    """
    names, attentions = list(input_leaves(module, args, kwargs)), Attentions()
    flat, in_spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
    no_region = torch.autocast("cpu", enabled=False)  # torch.export leaves a region around out, decompositions do not
    fixed = {i: leaf for i, leaf in enumerate(flat) if isinstance(leaf, _FIXED)}
    dense_args, dense_kwargs = pytree.tree_map_only(torch.Tensor, _strided, (tuple(args), dict(kwargs)))
    try:
        with (
            no_region,
            kept_out(),
            errors_told_once(),
            _hooks(module, marked),
            convolutions_of_any_size(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", ".*_flat_weights.*")  # LSTM and GRU sort their weights while they run
            program = torch.export.export(module, dense_args, dense_kwargs, dynamic_shapes=dynamic_shapes)
            smallest = smallest_sizes(program)
            widen_picked_rows(program.graph_module.graph)
            recognise_grouped_products(program.graph_module.graph)
            recognise_attention(program.graph_module.graph)
            program = decomposed(program, decomposition_table(attentions))
            fold_splats(program.graph)
            widen_bytes(program.graph)
            split_complex(program.graph)
            spell_out_extremes(program.graph)
    except Exception as e:
        if isinstance(e, (ImportProgramError, UnsupportedError)):
            raise
        raise _export_error(e, module) from e
    placeholders, unused = _lift_placeholders(program, names)
    constants, unsigned = _lift_results(program)
    graph = program.graph_module.graph
    resolve_views(graph)
    keep_model_frames(graph)
    require_known_sizes(graph)
    out_spec = cast(pytree.TreeSpec, program.call_spec.out_spec)
    taken = _names_of_arguments(module)
    return Exported(
        program, placeholders, unused, fixed, constants, unsigned, smallest, in_spec, out_spec, taken, attentions.notes
    )


def _names_of_arguments(module: torch.nn.Module) -> tuple[str, ...]:
    parameters = inspect.signature(module.forward).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def _argument_names(module: torch.nn.Module, args: Sequence[Any]) -> dict[str, Any]:
    """Positional arguments by the names ``forward`` gives them; ``*args`` stay a list."""
    named: dict[str, Any] = {}
    rest = list(args)
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            named[parameter.name] = rest
            return named
        if not rest or parameter.kind is parameter.KEYWORD_ONLY:
            break
        named[parameter.name] = rest.pop(0)
    if rest:
        raise ImportProgramError(
            f"takes {len(named)} positional arguments, got {len(args)}", where=f"{type(module).__name__}.forward"
        )
    return named


def _key_text(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    """An example for the export, which leaves marks on it that a next export would take for the caller's."""
    if tensor.layout is not torch.strided:
        return stand_in(tensor)
    return tensor.detach().requires_grad_(tensor.requires_grad)


@contextlib.contextmanager
def _hooks(module: torch.nn.Module, marked: Sequence[str]) -> Iterator[None]:
    """Make the marked submodules pass their output through ``pith.mark`` while the block runs."""
    handles = [module.get_submodule(name).register_forward_hook(_marker(name)) for name in marked]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _marker(name: str) -> Any:
    def hook(submodule: torch.nn.Module, _: Any, output: Any) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise UnsupportedError(
                f"its output is {type(output).__name__}; only a single tensor can be given a format",
                where=f"sparsity of submodule {name} ({type(submodule).__name__})",
                hint="name the submodule inside it that makes the tensor",
            )
        return MARK(output, name)

    return hook


def _lift_placeholders(
    program: torch.export.ExportedProgram, names: Sequence[str]
) -> tuple[tuple[Placeholder, ...], tuple[str, ...]]:
    """Pair placeholders with names; drop those of None and of tensors nobody reads."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    inputs = iter(names)
    kept: list[Placeholder] = []
    unused: list[str] = []
    for spec in program.graph_signature.input_specs:
        node, kind = nodes[spec.arg.name], _KINDS.get(spec.kind)
        if kind is None:
            raise UnsupportedError(f"cannot import the {spec.kind.name.lower()} {spec.target}", where=spec.arg.name)
        name = next(inputs) if kind == "input" else str(spec.target)
        if isinstance(spec.arg, TensorArgument) and (kind == "input" or node.users):
            kept.append(Placeholder(node, kind, name))
            continue
        if kind != "input":
            unused.append(name)
        program.graph.erase_node(node)
    return tuple(kept), tuple(unused)


def _lift_results(program: torch.export.ExportedProgram) -> tuple[dict[int, Any], frozenset[int]]:
    """Reduce the graph's output to its tensors; returns the constants among the results, and which are of uint8."""
    constants: dict[int, Any] = {}
    unsigned = set()
    tensors = []
    (output,) = [node for node in program.graph.nodes if node.op == "output"]
    for i, (spec, value) in enumerate(zip(program.graph_signature.output_specs, output.args[0])):
        if spec.kind is not OutputKind.USER_OUTPUT:
            raise UnsupportedError(
                f"forward changes {spec.target} in place",
                where=str(spec.target),
                hint="return the new value instead"
                if spec.kind is OutputKind.USER_INPUT_MUTATION
                else "call module.eval(), or return the new value instead",
            )
        if isinstance(spec.arg, TensorArgument):
            tensors.append(value)
            if value.meta["val"].dtype == torch.uint8:  # the types of MLIR that kernels have carry no sign
                unsigned.add(i)
        elif isinstance(spec.arg, ConstantArgument):
            constants[i] = spec.arg.value
        else:
            raise UnsupportedError(
                f"result {i} is a size known only at run time", where="forward", hint="return it as a tensor"
            )
    output.args = (tuple(tensors),)
    return constants, frozenset(unsigned)


def _export_error(error: Exception, module: torch.nn.Module) -> ImportProgramError:
    """One short typed error for whatever torch.export raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = " ".join(lines[:3])[:400] or type(error).__name__
    hint = error.hint if isinstance(error, Error) else None
    if isinstance(error, Error):
        message = f"{error.where}: {error.message}" if error.where else error.message
    if "data-dependent" in message or "Dynamic control flow" in message:
        message = f"control flow depends on the values of a tensor: {lines[0][:200]}"
        hint = "use torch.where or torch.cond, or decide outside the model"
        if re.search(r"Size-like symbols: u\d", str(error)):  # how many rows a mask picks
            hint = COMPUTE_ON_ALL
    elif "onstraint" in message or "specialized" in message:
        hint = "give that dimension a fixed size, or an example size other than 0 and 1"
    elif "PackedParams" in message:
        hint = "torch's quantised layers are closed: give the float model, sparsity={'*.weight': pith.Quantized()}"
    elif "not a known type" in message:
        hint = f"return tensors and containers of them; {_OF_CACHES}, or kwargs={{'use_cache': False}}"
    where = raised_at(error) or f"{type(module).__name__}.forward"
    return ImportProgramError(f"torch.export failed: {message}", where=where, hint=hint)
