"""The checked-in list of upstream's passes belongs to the installed wheel."""

import subprocess
import sys

from pith._mlir import ir
from pith.passes import pipeline_registry
from pith.passes.pipeline_listing import header, registered
from pith.passes.pipeline_upstream import implicit_anchor


def test_the_listing_is_of_the_installed_wheel():
    assert pipeline_registry._UPSTREAM.read_text().splitlines()[0] == header()


def test_every_listed_name_is_registered():
    names = pipeline_registry.upstream_passes()
    assert len(names) > 300
    assert list(registered(set(names))) == list(names)
    assert {"sparsifier", "one-shot-bufferize", "convert-gpu-to-nvvm", "finalize-memref-to-llvm"} <= set(names)


def test_listing_needs_no_context_or_torch():
    code = "import sys, pith.passes.pipeline_registry as r; r.upstream_passes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_pass_of_pith_loads_and_says_what_it_does():
    for name in pipeline_registry.pith_passes():
        cls = pipeline_registry.load_pass(name)
        assert cls.name == name
        assert pipeline_registry.summary(cls)


def test_passes_find_their_anchor():
    with ir.Context() as context:
        assert implicit_anchor("convert-gpu-to-nvvm", context) == "gpu.module"
        assert implicit_anchor("convert-pith-to-loops", context) is None
