"""Names for what an epilogue computes, as people say it: ``bias, gelu``."""

from pith._mlir import ir
from pith.passes.analysis.traversal import is_zero

from .match import Epilogue, Stage

#: Transcendental function -> its name by itself, and where the value is multiplied (or divided) by what comes of it.
_FUNCTIONS = {"math.erf": ("erf", "gelu"), "math.tanh": ("tanh", "gelu"), "math.exp": ("exp", "silu")}
_SUMS = ("arith.addf", "arith.addi", "arith.subf", "arith.subi")
_PRODUCTS = ("arith.mulf", "arith.muli", "arith.divf")
#: Ops that are a ReLU when one operand is zero.
_CLAMPS = ("arith.maximumf", "arith.maxnumf", "arith.maxsi", "arith.select")


def epilogue_steps(epilogue: Epilogue) -> tuple[str, ...]:
    """The steps of an epilogue in order; arithmetic without a name of its own is ``elementwise``."""
    steps: list[str] = []
    for stage in epilogue.stages:
        steps += _Reader(stage).steps or ["elementwise"]
    return tuple(steps)


class _Reader:
    """Follows the value through one body; the many ops of an activation are one step."""

    def __init__(self, stage: Stage):
        block = stage.op.regions[0].blocks[0]
        self.operands = {a: o for a, o in zip(block.arguments, stage.operands) if o is not None}
        self.steps: list[str] = []
        #: Values computed from the one that flows through, and those of them that are past a function.
        self.flowing = {a for a, o in zip(block.arguments, stage.operands) if o is None}
        self.after: set[ir.Value] = set()
        self.function: str | None = None
        self.gated = False
        for op in list(block.operations)[:-1]:
            if any(v in self.flowing for v in op.operands):
                self._read(op.operation)
        self._close()

    def _read(self, op: ir.Operation) -> None:
        operand = next((self.operands[v] for v in op.operands if v in self.operands), None)
        function = next((name for name in _FUNCTIONS if name == op.name or f'"{name}"' in str(op.location)), None)
        if operand is not None:
            self._close()
            self._meet(op.name, len([d for d in operand.dims if d is not None]))
        elif op.name in _CLAMPS and not (function or self.function) and any(is_zero(v) for v in op.operands):
            self.steps.append("relu")
        elif op.name.startswith("arith.fpto") and not function:
            self._close()
            self.steps.append("requantise")
        self.function = function or self.function
        past = [v in self.after for v in op.operands if v in self.flowing]
        if function or any(past):
            self.gated |= function is None and op.name in _PRODUCTS and not all(past)
            self.after.update(op.results)
        self.flowing.update(op.results)

    def _meet(self, name: str, rank: int) -> None:
        """The value meets an operand indexed by ``rank`` dimensions of the product."""
        if name in _SUMS:
            self.steps.append("residual" if rank == 2 else "bias")
        elif name in _PRODUCTS:
            self.steps.append("gate" if rank == 2 else "scale")
        else:
            self.steps.append("elementwise")

    def _close(self) -> None:
        """Name the activation read so far."""
        if self.function:
            self.steps.append(_FUNCTIONS[self.function][self.gated])
        self.function, self.gated, self.after = None, False, set()
