"""The runtime stands on its own: no MLIR, no torch, no llvmlite; and it says what to do when its library is missing."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pith
import pytest
from pith.runtime import native

CHECK = """
import sys
import pith.runtime
pith.runtime.num_threads()
pith.runtime.KernelCache(sys.argv[1]).path_of({"op": "add"})
loaded = {name.split(".")[0] for name in sys.modules} & {"torch", "torch_mlir", "llvmlite", "scipy"}
assert not loaded, loaded
"""


def test_importing_and_using_it_loads_no_compiler(tmp_path):
    result = subprocess.run([sys.executable, "-c", CHECK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_a_missing_library_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PITH_RUNTIME_LIBRARY", str(tmp_path / "nothing.so"))
    with pytest.raises(pith.RuntimeLibraryError, match=r"nothing\.so(.|\n)*PITH_RUNTIME_LIBRARY"):
        native.library_path()
    monkeypatch.delenv("PITH_RUNTIME_LIBRARY")
    monkeypatch.setattr(native, "LIBRARY_NAME", "libnothing.so")
    with pytest.raises(pith.RuntimeLibraryError, match="reinstall pith-mlir"):
        native.library_path()


@pytest.mark.parametrize("content", [b"", b"not a library"])
def test_an_unusable_library_is_an_error(content, tmp_path):
    library = tmp_path / "broken.so"
    library.write_bytes(content)
    script = "import pith, pith.runtime as r\ntry: r.num_threads()\nexcept pith.RuntimeLibraryError as e: print(e)"
    environment = {**os.environ, "PITH_RUNTIME_LIBRARY": str(library)}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert "cannot be used" in result.stdout and "reinstall" in result.stdout, result.stderr


def test_the_library_lies_beside_the_package():
    package = pathlib.Path(native.__file__).parent
    assert native.library_path().is_file() and native.library_path().parent.name == package.name
    assert native.live_bytes() >= 0
