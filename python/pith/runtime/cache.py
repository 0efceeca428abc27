"""The kernel cache: in memory, and on disk across processes.

A kernel is found by everything it depends on: the caller's key, the version of the compiler and the
features of the processor. A pattern of non-zeros is data, not a key: changing it recompiles nothing.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import ArgumentError, CacheError
from .artifact import Artifact, CorruptEntry
from .fingerprint import compiler, host_cpu

#: Objects kept in memory; a kernel is a few tens of kilobytes.
DEFAULT_MEMORY_BYTES = 256 << 20


@dataclasses.dataclass
class CacheStats:
    """What a cache did since it was made.

    Attributes:
        memory_hits: found in memory.
        disk_hits: read from disk.
        misses: found in neither.
        compiled: built; equals misses unless a build failed.
        rejected: entries on disk that were truncated or changed, and were built again.
    """

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    compiled: int = 0
    rejected: int = 0

    @property
    def hits(self) -> int:
        """Requests that compiled nothing."""
        return self.memory_hits + self.disk_hits


class KernelCache:
    """Finds a compiled kernel by its key, or builds it once.

    Args:
        directory: where entries lie on disk. Default: ``PITH_CACHE_DIR``, else the user's cache directory.
        memory_bytes: objects beyond this are forgotten from memory, least recently used first.

    ``PITH_CACHE=0`` (or ``false``, ``off``, ``no``) switches the cache off: every request builds. A directory
    that cannot be written to is reported once, as a warning, and does not stop anything.

    Errors: :class:`CacheError` when the directory is something else than a directory.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, memory_bytes: int = DEFAULT_MEMORY_BYTES):
        self.enabled = os.environ.get("PITH_CACHE", "").strip().lower() not in ("0", "false", "off", "no")
        self.directory = pathlib.Path(directory) if directory is not None else default_directory()
        self.memory_bytes = memory_bytes
        self.stats = CacheStats()
        self._memory: collections.OrderedDict[str, Artifact] = collections.OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._flights: dict[str, tuple[threading.RLock, list[None]]] = {}
        self._warned = False
        if self.enabled:
            self._check_directory()

    def get_or_build(self, key: Mapping[str, Any], build: Callable[[], Artifact]) -> Artifact:
        """The artifact for ``key``; ``build()`` makes it if need be.

        Threads that ask for the same key at once wait for one build; an error of ``build`` goes to the
        thread that ran it, and the next one tries again.

        Args:
            key: plain JSON data.

        Errors: :class:`~pith.ArgumentError` when the key is not plain JSON data.
        """
        if not self.enabled:
            return self._build(build)
        digest = key_digest(key)
        artifact = self._recall(digest)
        if artifact is not None:
            return artifact
        with self._flight(digest):
            artifact = self._recall(digest)
            if artifact is None:
                artifact = self._read(digest) or self._build_and_store(digest, build)
                self._remember(digest, artifact)
        return artifact

    # -- building ---------------------------------------------------------------------

    def _build(self, build: Callable[[], Artifact]) -> Artifact:
        with self._lock:
            self.stats.misses += 1
        artifact = build()
        with self._lock:
            self.stats.compiled += 1
        return artifact

    def _build_and_store(self, digest: str, build: Callable[[], Artifact]) -> Artifact:
        artifact = self._build(build)
        self._write(digest, artifact)
        return artifact

    @contextlib.contextmanager
    def _flight(self, digest: str) -> Iterator[None]:
        """Lets one thread at a time work on a key; the lock lives as long as somebody needs it."""
        with self._lock:
            lock, users = self._flights.setdefault(digest, (threading.RLock(), []))
            users.append(None)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users.pop()
                if not users:
                    del self._flights[digest]

    # -- memory -----------------------------------------------------------------------

    def _recall(self, digest: str) -> Artifact | None:
        with self._lock:
            artifact = self._memory.get(digest)
            if artifact is not None:
                self._memory.move_to_end(digest)
                self.stats.memory_hits += 1
            return artifact

    def _remember(self, digest: str, artifact: Artifact) -> None:
        with self._lock:
            self._memory[digest] = artifact
            self._size += len(artifact.object)  # not in memory before: one thread at a time works on a key
            while self._size > self.memory_bytes and len(self._memory) > 1:
                _, oldest = self._memory.popitem(last=False)
                self._size -= len(oldest.object)

    # -- disk -------------------------------------------------------------------------

    def path_of(self, key: Mapping[str, Any]) -> pathlib.Path:
        """Where the entry of ``key`` lies, whether or not it exists."""
        return self._path(key_digest(key))

    def _path(self, digest: str) -> pathlib.Path:
        return self.directory / digest[:2] / f"{digest}.kernel"

    def _check_directory(self) -> None:
        existing = next((p for p in (self.directory, *self.directory.parents) if p.exists()), None)
        if existing is not None and not existing.is_dir():
            raise CacheError(
                f"the kernel cache cannot use {self.directory}: {existing} is not a directory",
                hint="set PITH_CACHE_DIR to a directory, or PITH_CACHE=0 to work without a cache",
            )

    def _read(self, digest: str) -> Artifact | None:
        try:
            data = self._path(digest).read_bytes()
        except OSError:
            return None
        try:
            artifact = Artifact.from_bytes(data, digest)
        except CorruptEntry:
            with self._lock:
                self.stats.rejected += 1
            return None
        with self._lock:
            self.stats.disk_hits += 1
        return artifact

    def _write(self, digest: str, artifact: Artifact) -> None:
        """Readers see the old entry or the whole new one: the file is written aside and renamed."""
        path = self._path(digest)
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
                temporary = file.name
                file.write(artifact.to_bytes(digest))
            os.replace(temporary, path)
        except BaseException as error:
            if temporary is not None:
                pathlib.Path(temporary).unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            self._warn_once(error)

    def _warn_once(self, error: OSError) -> None:
        with self._lock:
            first, self._warned = not self._warned, True
        if first:
            warnings.warn(
                f"pith cannot write its kernel cache ({error}); kernels will be compiled again by the next process. "
                "Set PITH_CACHE_DIR to a writable directory, or PITH_CACHE=0 to silence this.",
                RuntimeWarning,
                stacklevel=5,
            )


def default_directory() -> pathlib.Path:
    """``PITH_CACHE_DIR``, else ``kernels`` in the user's cache directory."""
    configured = os.environ.get("PITH_CACHE_DIR")
    if configured:
        return pathlib.Path(configured)
    import platformdirs

    return pathlib.Path(platformdirs.user_cache_dir("pith", appauthor=False)) / "kernels"


def key_digest(key: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of the key, the compiler and the processor."""
    try:
        text = json.dumps(
            {"key": key, "compiler": compiler(), "cpu": host_cpu()},
            sort_keys=True,
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"a cache key is plain JSON data: {error}", hint="use str, int, float, bool, None, lists and dicts"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def kernel_cache() -> KernelCache:
    """The cache this process shares; configured by the environment on first use."""
    return KernelCache()
