"""``pith-inline-calls``: what a function calls becomes part of it."""

import dataclasses
from typing import ClassVar

from pith._mlir import func, ir

from .analysis.traversal import ops_named
from .cloning import clone
from .core import Pass, pass_error


@dataclasses.dataclass(frozen=True)
class InlineCallsPass(Pass):
    """Put the bodies of functions of the module in the place of calls, and erase private ones that nothing calls then.

    Before::

        func.func private @double(%x: tensor<8xf32>) -> tensor<8xf32> {
          %y = linalg.add ins(%x, %x) outs(%x)
          return %y : tensor<8xf32>
        }
        func.func @f(%x: tensor<8xf32>) -> tensor<8xf32> {
          %y = func.call @double(%x) : (tensor<8xf32>) -> tensor<8xf32>
          return %y : tensor<8xf32>
        }

    After::

        func.func @f(%x: tensor<8xf32>) -> tensor<8xf32> {
          %y = linalg.add ins(%x, %x) outs(%x)
          return %y : tensor<8xf32>
        }

    Upstream's ``inline`` leaves calls of functions that hold ``pith`` ops: dialects defined in Python cannot say that
    their ops may be inlined.

    Requires: callees of one block. Preserves: calls of functions without a body; functions others may call.
    Does not: indirect calls. Errors: a diagnostic at a call of a function that leads back to itself, or has several
    blocks. Cost: linear in the size of what results.
    """

    name: ClassVar[str] = "pith-inline-calls"

    def run(self, module: ir.Module) -> None:
        functions = {op.sym_name.value: op for op in module.body.operations if isinstance(op, func.FuncOp)}
        done: set[str] = set()
        called: set[str] = set()
        for function in functions.values():
            called |= _inline_into(function, functions, done, ())
        for name in called:
            if "sym_visibility" in functions[name].attributes and functions[name].visibility.value == "private":
                functions[name].operation.erase()


def _inline_into(
    function: func.FuncOp, functions: dict[str, func.FuncOp], done: set[str], inside: tuple[str, ...]
) -> set[str]:
    """Inline all calls in ``function``, those of its callees first; the names of all functions that are called.

    ``inside``: the functions whose bodies are being completed.
    """
    name = function.sym_name.value
    if name in done:
        return set()
    called: set[str] = set()
    for call in ops_named(function.operation, "func.call"):
        callee = ir.FlatSymbolRefAttr(call.attributes["callee"]).value
        target = functions.get(callee)
        if target is None or target.is_external:
            continue
        if callee in (*inside, name):
            pass_error(call, f"cannot be inlined: @{callee} leads back to itself", "write it as a loop")
        if len(target.body.blocks) != 1:
            pass_error(call, f"cannot be inlined: @{callee} has several blocks", "use scf ops for control flow")
        called |= {callee} | _inline_into(target, functions, done, (*inside, name))
        _inline(call, target)
    done.add(name)
    return called


def _inline(call: ir.Operation, target: func.FuncOp) -> None:
    """Clone the body of ``target`` before ``call``, and let its results stand for those of the call."""
    known = dict(zip(target.entry_block.arguments, call.operands))
    *body, last = target.entry_block.operations
    with ir.InsertionPoint(call):
        clone(body, known)
    for result, value in zip(call.results, last.operands):
        result.replace_all_uses_with(known[value])
    call.erase()
