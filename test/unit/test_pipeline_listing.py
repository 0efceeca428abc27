"""The checked-in list of upstream's passes belongs to the installed wheel."""

import subprocess
import sys

from pith._mlir import ir
from pith.passes.pipeline import registry
from pith.passes.pipeline.listing import header, registered
from pith.passes.pipeline.upstream import implicit_anchor


def test_the_listing_is_of_the_installed_wheel():
    assert registry._UPSTREAM.read_text().splitlines()[0] == header()


def test_every_listed_name_is_registered():
    names = registry.upstream_passes()
    assert len(names) > 300
    assert list(registered(set(names))) == list(names)
    assert {"sparsifier", "one-shot-bufferize", "convert-gpu-to-nvvm", "finalize-memref-to-llvm"} <= set(names)


def test_listing_needs_no_context_or_torch():
    code = "import sys, pith.passes.pipeline.registry as r; r.upstream_passes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_pass_of_pith_loads_and_says_what_it_does():
    for name in registry.pith_passes():
        cls = registry.load_pass(name)
        assert cls.name == name
        assert registry.summary(cls)


def test_passes_find_their_anchor():
    with ir.Context() as context:
        assert implicit_anchor("convert-gpu-to-nvvm", context) == "gpu.module"
        assert implicit_anchor("convert-pith-to-loops", context) is None
