"""Measure the packed kernels on this machine's GPU: ``python run.py -o results``.

Needs Python 3.11 or newer with torch (CUDA), numpy, scipy and cuda-bindings; no compiler of pith. Everything is
written to the folder as soon as it is known: ``gpu.json``, ``gpu.md``, ``<device>.tiles.json`` and
``vectors-<chip>.json``.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    from bench.gpu.runner import main

    sys.exit(main(HERE))
