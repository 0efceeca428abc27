"""What every test runs under: no hub, kernels cached in a directory of this run, the same examples every time."""

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"

# Set before anything imports pith: the cache is configured on its first use. Workers inherit it: what one compiles,
# the others load.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _cache = tempfile.mkdtemp(prefix="pith-test-cache-")
    os.environ["PITH_CACHE_DIR"] = _cache
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)

# A failure in CI is due to the change under test; `make fuzz` draws new examples.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("fuzz", print_blob=True)
settings.load_profile("fixed")
