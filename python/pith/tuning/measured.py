"""Products whose candidates were timed on this machine (:func:`pith.tune`): measured times go before predicted ones."""

from __future__ import annotations

import functools
import json
import math
import pathlib
import warnings
from collections.abc import Mapping

from .. import __version__
from ..errors import FileFormatError
from ..files import write_whole
from ..runtime.cpu import cpu_class
from .database import own_path as calibration_path
from .problem import Problem

#: Densities within a factor of 2 ** (1 / this) count as one.
_DENSITIES_PER_OCTAVE = 4


def own_path() -> pathlib.Path:
    """Where measured products are kept: beside the calibration."""
    return calibration_path().with_name("products.json")


def class_of(problem: Problem) -> str:
    """What products must agree on for a time measured of one to hold for the other.

    Semantics: pith's version is a part of it: kernels change.

    Example:
        >>> from pith.formats import Format
        >>> class_of(Problem.of_format(Format.dense(), (64, 32), 8, "f32", threads=1)).split(" | ")[2:5]
        ['64x32', '8', 'f32']
    """
    density = round(_DENSITIES_PER_OCTAVE * math.log2(max(problem.density, 1e-9)))
    library = "torch" if problem.torch else "numpy"
    parts = [
        str(problem.format),
        problem.side,
        "x".join(map(str, problem.shape)),
        str(problem.columns),
        problem.element,
    ]
    parts += [f"density 2^({density}/{_DENSITIES_PER_OCTAVE})", f"{problem.threads} threads", library]
    return " | ".join([*parts, problem.isa, cpu_class(), __version__])


def measured_times(problem: Problem) -> Mapping[str, float]:
    """Name of a variant -> seconds; empty where nobody measured."""
    known = _known()
    return known.get(class_of(problem), {}) if known else {}


def remember(problem: Problem, times: Mapping[str, float]) -> None:
    """Let measured times decide from now on, in later processes too. Errors: those of the operating system."""
    known = {**_known(), class_of(problem): {name: float(f"{t:.4g}") for name, t in times.items()}}
    write_whole(own_path(), json.dumps({"version": __version__, "products": known}, indent=1) + "\n")
    forget()


def settled(predicted: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    """Seconds per variant: as measured, else as predicted, off by as much as those are whose time is known.

    >>> settled({"a": 1.0, "b": 2.0, "c": 4.0}, {"a": 3.0, "b": 6.0})
    {'a': 3.0, 'b': 6.0, 'c': 12.0}
    """
    both = sorted(measured[name] / seconds for name, seconds in predicted.items() if name in measured and seconds > 0)
    middle = both[(len(both) - 1) // 2 : len(both) // 2 + 1]
    off = sum(middle) / len(middle) if both else 1.0  # the median: ``statistics`` takes 8 ms to import
    return {name: measured.get(name, seconds * off) for name, seconds in predicted.items()}


def forget() -> None:
    """Read the file anew when next asked."""
    _known.cache_clear()


@functools.cache
def _known() -> dict[str, dict[str, float]]:
    """All that was measured; a file that cannot be read is warned of, one of another version of pith is left out."""
    path = own_path()
    try:
        return read_products(path.read_text(), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, FileFormatError) as e:
        warnings.warn(f"pith ignores measured products: {e}", RuntimeWarning, stacklevel=2)
        return {}


def read_products(text: str, where: str) -> dict[str, dict[str, float]]:
    """The products in a file's text, none where another version of pith wrote it.

    Errors: :class:`pith.FileFormatError` when it is something else.
    """
    try:
        data = json.loads(text)
        found = {str(key): {str(n): float(t) for n, t in times.items()} for key, times in data["products"].items()}
        return found if data["version"] == __version__ else {}
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        hint = "remove it: pith.tune writes a new one"
        raise FileFormatError(f"holds no measured products: {e!r}", where=where, hint=hint) from e
