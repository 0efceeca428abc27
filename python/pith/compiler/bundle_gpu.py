"""GPU kernels in bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import NoGpuError, UnsupportedError
from ..programs import Program
from ..runtime.cuda import devices, runs_on
from ..runtime.cuda.hardware import capability_of
from ..sparse import SparseTensor
from .bundle_sections import Sections, text_of, value_of
from .gpu import GpuKernel
from .params import Param
from .sizes import SizeRules


def target_of(kernel: GpuKernel) -> str:
    """The target as :func:`pith.compile` takes it."""
    return kernel.target


def describe(kernel: GpuKernel, sections: Sections) -> dict[str, Any]:
    """The kernel as JSON; PTX, machine code, source and bound parameters become sections.

    Errors: :class:`pith.UnsupportedError` for emulated targets, whose code is not self-contained.
    """
    if kernel.target != kernel.program.target:
        raise UnsupportedError(
            f"kernels for {kernel.target} cannot be saved", hint=f"compile for {kernel.program.target}, or for the CPU"
        )
    return {
        "kind": "gpu",
        "target": kernel.target,
        "program": json.loads(kernel.program.to_json()),
        "params": [p.to_json() for p in kernel.params],
        "ptx": sections.add_text(kernel.ptx),
        "cubin": sections.add_bytes(kernel.cubin) if kernel.cubin else None,
        "source": sections.add_text(kernel.source),
        "bound": {str(i): _described(value, sections) for i, value in kernel.bound.items()},
        "sizes": kernel.sizes.to_json(),
    }


def restore(data: Mapping[str, Any], sections: Sequence[np.ndarray]) -> GpuKernel:
    """Inverse of :func:`describe`."""
    params = [Param.from_json(p) for p in data["params"]]
    bound = {int(i): _restored(value, params[int(i)], sections) for i, value in data["bound"].items()}
    cubin = b"" if data["cubin"] is None else sections[data["cubin"]].tobytes()
    return GpuKernel(
        text_of(data["source"], sections),
        data["target"],
        Program.from_json(json.dumps(data["program"])),
        params,
        text_of(data["ptx"], sections),
        cubin=cubin,
        bound=bound,
        sizes=SizeRules.from_json(data["sizes"]),
    )


def preference(data: Mapping[str, Any]) -> tuple[int, ...]:
    """How good the program is for a machine that runs it; larger is better.

    Code for exactly one architecture uses what only that has, so it comes before the same without.
    """
    return (1, *capability_of(data["target"]), data["target"].endswith("a"))


def unfit(data: Mapping[str, Any]) -> str | None:
    """Why no GPU of this machine can run it, or None."""
    try:
        found = devices()
    except NoGpuError as error:
        return error.message
    if not found:
        return "there is no GPU"
    if runs_on(data["target"], found[0].capability):
        return None
    return f"does not run on {found[0]}"


def _described(value: Any, sections: Sections) -> dict[str, Any]:
    """A bound value: what the caller would pass."""
    tensor = getattr(value, "tensor", value)  # of a copy on a device, the tensor on the host
    if isinstance(tensor, SparseTensor):
        return {"shape": list(tensor.shape), "buffers": [sections.add_value(b) for b in tensor.buffers]}
    if getattr(getattr(value, "device", None), "type", "cpu") != "cpu":
        value = value.cpu()
    return sections.add_value(value.numpy() if hasattr(value, "memory") else value)


def _restored(data: Mapping[str, Any], param: Param, sections: Sequence[np.ndarray]) -> Any:
    if "buffers" not in data:
        return value_of(data, sections)
    if param.format is None:
        raise ValueError(f"{param.name} has buffers and no format")
    buffers = tuple(value_of(b, sections) for b in data["buffers"])
    return SparseTensor(tuple(data["shape"]), param.format, buffers)
