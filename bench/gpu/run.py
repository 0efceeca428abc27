"""Measure the packed kernels on this machine's GPU: ``python run.py -o results``.

Needs Python 3.11 or newer with torch (CUDA), numpy, scipy and cuda-bindings; no compiler of pith. Everything is
written to the folder as soon as it is known: ``gpu.json``, ``gpu.md``, ``<device>.tiles.json`` and
``vectors-<chip>.json``.
"""

import importlib.util
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent

#: Module -> what to ask pip for, and whether only GPUs need it.
NEEDED = {
    "numpy": ("numpy", False),
    "torch": ("torch", False),
    "cuda.bindings": ("cuda-bindings", True),
}


def missing(on_gpu: bool) -> list[str]:
    """Packages that are not installed, as pip calls them."""
    return [name for module, (name, gpu) in NEEDED.items() if (on_gpu or not gpu) and not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that a module is in
        return False


if __name__ == "__main__":
    if absent := missing("--device=cpu" not in sys.argv and "cpu" not in sys.argv):
        print(f"run.py: not installed: {', '.join(absent)}; pip install {' '.join(absent)}", file=sys.stderr)
        sys.exit(2)
    sys.path.insert(0, str(HERE))
    from bench.gpu.runner import main

    sys.exit(main(HERE))
