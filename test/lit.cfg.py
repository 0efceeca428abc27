"""lit configuration: `lit test` runs every `.mlir` test with pith-opt and filecheck."""

import pathlib
import shutil
import sys

import lit.formats

# lit injects `config` and `lit_config`.
config = globals()["config"]

config.name = "pith"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["unit", "e2e", "bindings", "Inputs"]
config.test_source_root = str(pathlib.Path(__file__).parent)
config.test_exec_root = str(pathlib.Path(__file__).parent.parent / "build" / "lit")

_bin = pathlib.Path(sys.executable).parent
config.environment["PATH"] = f"{_bin}:{config.environment['PATH']}"


def _find_ptxas() -> str | None:
    """ptxas from PATH, else from the nvidia-cuda-nvcc wheel of this environment."""
    on_path = shutil.which("ptxas")
    if on_path:
        return on_path
    site = pathlib.Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = sorted((site / "site-packages" / "nvidia").glob("**/bin/ptxas"))
    return str(found[-1]) if found else None


_ptxas = _find_ptxas()
if _ptxas:
    config.available_features.add("ptxas")
    config.substitutions.append(("%ptxas", _ptxas))
config.substitutions += [
    ("%torch-mlir-opt", str(_bin / "torch-mlir-opt")),
    ("%python", sys.executable),
    ("%pith", str(_bin / "pith")),
]
