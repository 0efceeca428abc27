"""Measured models: those shipped with pith, and the user's own (``pith bench --calibrate``)."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

from pith.lowering.isa import host_isa

from ..errors import FileFormatError
from ..files import write_whole
from ..runtime.cpu import cpu_class, unlikeness
from .model import Accuracy, Model
from .roofline import roofline
from .variants import PANEL_ELEMENTS, Variant

#: Of the file. A file of another version is not read: models weigh features, and those change.
VERSION = 1

#: Files of the package that hold what was measured, one per processor.
SHIPPED = "data"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The models of one processor with one number of threads.

    Attributes:
        cpu: :func:`pith.runtime.cpu.cpu_class` of the processor.
        isa: what its kernels were compiled for.
        threads: of the measured kernels.
        models: ``family/element`` -> model.
        accuracy: the same names -> error on shapes that were held out of the fit.
        origin: ``shipped``, ``own`` (the user's) or ``roofline`` (nothing was measured).
        facts: when and with what it was measured.
    """

    cpu: str
    isa: str
    threads: int
    models: Mapping[str, Model]
    accuracy: Mapping[str, Accuracy] = dataclasses.field(default_factory=dict)
    origin: str = "own"
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def model(self, variant: Variant, element: str) -> tuple[Model, str | None]:
        """The model of a variant and the name it was measured under; None: the roofline's.

        Kernels whose registers hold f32 whatever is stored are as fast as those of f32, if need be.
        """
        registers = ["f32"] if PANEL_ELEMENTS.get(element) == 4 and not variant.is_library else []
        for full in (f"{name}/{e}" for e in (element, *registers) for name in variant.model_names):
            if full in self.models:
                return self.models[full], full
        return self._with_call(roofline(self.isa, variant.family, element), variant), None

    def _with_call(self, model: Model, variant: Variant) -> Model:
        """A model nobody measured, with a call as long as the others: that depends little on the kernel."""
        found = (m.coefficients.get("call", 0.0) for name, m in self.models.items() if not name.startswith("dense"))
        calls = sorted(filter(None, found))
        if not calls or variant.is_library:
            return model
        return Model({**model.coefficients, "call": calls[len(calls) // 2]})

    def describe(self) -> str:
        """One line: where the numbers come from."""
        if self.origin == "roofline":
            return f"roofline of {self.isa}: {self.cpu} was never measured (pith bench --calibrate does)"
        whose = "measured here" if self.origin == "own" else "shipped with pith"
        return f"{self.cpu}, {self.isa}, {self.threads} thread{'s' if self.threads > 1 else ''}, {whose}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        models = {name: {k: float(f"{v:.6g}") for k, v in m.coefficients.items()} for name, m in self.models.items()}
        accuracy = {name: dataclasses.asdict(a) for name, a in self.accuracy.items()}
        return {
            "cpu": self.cpu,
            "isa": self.isa,
            "threads": self.threads,
            "facts": dict(self.facts),
            "models": models,
            "accuracy": accuracy,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> Calibration:
        """Inverse of :meth:`to_json`."""
        models = {name: Model({k: float(v) for k, v in m.items()}) for name, m in data["models"].items()}
        accuracy = {name: Accuracy(**a) for name, a in data["accuracy"].items()}
        return cls(data["cpu"], data["isa"], int(data["threads"]), models, accuracy, origin, data["facts"])


def own_path() -> pathlib.Path:
    """Where the user's calibration lies: ``PITH_CACHE_DIR``, else the user's data directory.

    The kernel cache may be cleared; what took minutes to measure stays.
    """
    configured = os.environ.get("PITH_CACHE_DIR")
    if configured:
        return pathlib.Path(configured) / "tuning.json"
    import platformdirs

    return pathlib.Path(platformdirs.user_data_dir("pith", appauthor=False)) / "tuning.json"


def read_database(text: str, where: str, origin: str) -> list[Calibration]:
    """The calibrations in a file's text.

    Errors: :class:`pith.FileFormatError` when it is something else, or of another version.
    """
    hint = "remove it, or write a new one: pith bench --calibrate"
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise FileFormatError(
                f"is of version {data['version']}, this pith reads version {VERSION}", where=where, hint=hint
            )
        return [Calibration.from_json(entry, origin) for entry in data["calibrations"]]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        if isinstance(e, FileFormatError):
            raise
        raise FileFormatError(f"is not a calibration: {e!r}", where=where, hint=hint) from e


def write_database(path: pathlib.Path, calibrations: list[Calibration]) -> None:
    """Write a file whole or not at all. Errors: those of the operating system."""
    data = {"version": VERSION, "calibrations": [c.to_json() for c in calibrations]}
    write_whole(path, json.dumps(data, indent=1) + "\n")


def merge(old: list[Calibration], new: list[Calibration]) -> list[Calibration]:
    """``new``, and those of ``old`` for other processors or numbers of threads."""
    taken = {(c.cpu, c.isa, c.threads) for c in new}
    return [*new, *(c for c in old if (c.cpu, c.isa, c.threads) not in taken)]


@functools.cache
def known_calibrations() -> tuple[Calibration, ...]:
    """All calibrations there are, the user's first; a file that cannot be read is warned of and left out."""
    found: list[Calibration] = []
    path = own_path()
    try:
        found += read_database(path.read_text(), str(path), "own")
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError, FileFormatError) as e:
        warnings.warn(f"pith ignores your calibration: {e}", RuntimeWarning, stacklevel=2)
    for file in sorted(pathlib.Path(__file__).with_name(SHIPPED).glob("*.json")):
        if not file.name.endswith((".samples.json", ".tiles.json")):
            found += read_database(file.read_text(), file.name, "shipped")
    return tuple(found)


@functools.cache
def calibration_for(threads: int, cpu: str | None = None, isa: str | None = None) -> Calibration:
    """The calibration for a processor (default: this one).

    Semantics: the user's own before shipped ones; with exactly ``threads``, else the nearest number
        below, else the lowest (features divide the work by the threads of the problem). A processor
        nobody measured gets what was measured on its microarchitecture, else the roofline of its instruction set.
    """
    cpu, isa = cpu or cpu_class(), isa or host_isa().name
    fitting = [(unlikeness(c.cpu, cpu), c) for c in known_calibrations() if c.isa == isa]
    nearest = min((apart for apart, _ in fitting), default=2)
    if nearest > 1:
        return Calibration(cpu, isa, threads, {}, origin="roofline")
    alike = [c for apart, c in fitting if apart == nearest]
    return min(alike, key=lambda c: (c.threads > threads, abs(c.threads - threads), c.origin != "own"))


def forget() -> None:
    """Read the files anew when next asked: after a calibration."""
    known_calibrations.cache_clear()
    calibration_for.cache_clear()
