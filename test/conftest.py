"""What every test runs under: no hub is asked, and kernels are cached in a directory of this run."""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

# Set before anything imports pith: the cache is configured on its first use.
_cache = tempfile.mkdtemp(prefix="pith-test-cache-")
os.environ["PITH_CACHE_DIR"] = _cache
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
