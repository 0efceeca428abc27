"""CPU kernels in bundles."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..lowering.isa import EMULATE
from ..runtime.artifact import Artifact
from ..runtime.cpu import cpu_features
from ..runtime.signature import Signature
from .bundle_sections import Sections, text_of, value_of
from .kernel import Kernel
from .sizes import SizeRules


def target_of(kernel: Kernel) -> str:
    """The target as :func:`pith.compile` takes it."""
    return kernel.target


def describe(kernel: Kernel, sections: Sections) -> dict[str, Any]:
    """The kernel as JSON; code, source and bound parameters become sections."""
    return {
        "kind": "cpu",
        "target": target_of(kernel),
        "machine": platform.machine(),
        "features": sorted(cpu_features()),
        "entry": kernel.name,
        "path": kernel.path,
        "signatures": [s.to_json() for s in kernel.artifact.signatures],
        "meta": dict(kernel.artifact.meta),
        "code": sections.add_bytes(kernel.artifact.object),
        "source": sections.add_text(kernel.source),
        "bound": {str(i): [sections.add_value(v) for v in values] for i, values in kernel.bound.items()},
        "sizes": kernel.sizes.to_json(),
    }


def restore(data: Mapping[str, Any], sections: Sequence[np.ndarray]) -> Kernel:
    """Inverse of :func:`describe`."""
    signatures = tuple(map(Signature.from_json, data["signatures"]))
    artifact = Artifact(sections[data["code"]].tobytes(), signatures, data["meta"])
    bound = {int(i): [value_of(v, sections) for v in values] for i, values in data["bound"].items()}
    source = text_of(data["source"], sections)
    return Kernel(source, data["entry"], data["path"], artifact, bound, SizeRules.from_json(data["sizes"]))


def preference(data: Mapping[str, Any]) -> tuple[int, ...]:
    """How good the program is for a machine that runs it; larger is better."""
    return 0, not data["target"].startswith(EMULATE), len(data["features"])


def unfit(data: Mapping[str, Any]) -> str | None:
    """Why this machine cannot run it, or None."""
    if data["machine"] != platform.machine():
        return f"holds code for {data['machine']}, this machine is {platform.machine()}"
    missing = sorted(set(data["features"]) - cpu_features())
    return f"was compiled for a processor with {', '.join(missing)}, which this one does not have" if missing else None
