"""The kernel cache: what is found, what is built again, and what cannot be used. No MLIR needed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import warnings

import pith
import pytest
from pith.runtime import Artifact, KernelCache, MemRefSpec, Signature
from pith.runtime.artifact import CorruptEntry

KEY = {"op": "matmul", "shape": [64, -1], "dtype": "f32"}


def artifact(text: str = "code") -> Artifact:
    return Artifact(text.encode(), (Signature("f", (MemRefSpec("f32", (-1, 4), "x"),)),), {"tile": [4, 16]})


def no_build() -> Artifact:
    raise AssertionError("built although the kernel was cached")


@pytest.fixture
def cache(tmp_path: pathlib.Path) -> KernelCache:
    return KernelCache(tmp_path / "cache")


def test_builds_once_and_then_finds_in_memory(cache):
    first = cache.get_or_build(KEY, artifact)
    assert cache.get_or_build(dict(reversed(KEY.items())), no_build) is first
    assert (cache.stats.compiled, cache.stats.memory_hits, cache.stats.disk_hits) == (1, 1, 0)


def test_another_cache_finds_it_on_disk(cache):
    cache.get_or_build(KEY, artifact)
    other = KernelCache(cache.directory)
    assert other.get_or_build(KEY, no_build) == artifact()
    assert (other.stats.compiled, other.stats.disk_hits) == (0, 1)


@pytest.mark.parametrize("change", [{"dtype": "f64"}, {"shape": [64, 3]}, {"tile": None}])
def test_a_different_key_is_a_different_kernel(cache, change):
    cache.get_or_build(KEY, artifact)
    assert cache.get_or_build({**KEY, **change}, lambda: artifact("other")).object == b"other"


def test_the_processor_is_part_of_the_key(cache, monkeypatch):
    before = cache.path_of(KEY)
    monkeypatch.setattr("pith.runtime.cache.host_cpu", lambda: "another processor")
    assert cache.path_of(KEY) != before


@pytest.mark.parametrize("key", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_keys_are_plain_data(cache, key):
    with pytest.raises(pith.ArgumentError, match="plain JSON"):
        cache.get_or_build(key, artifact)


def damaged(data: bytes) -> list[bytes]:
    cuts = [data[:n] for n in (0, 4, 8, 20, 40, 44, 60, len(data) - 1)]
    flips = [data[:i] + bytes([data[i] ^ 0x40]) + data[i + 1 :] for i in (0, 9, 40, 45, 80, len(data) - 1)]
    return [*cuts, *flips, data + b"x", b"\0" * len(data)]


def test_damaged_entries_are_built_again_and_replaced(cache):
    cache.get_or_build(KEY, artifact)
    path = cache.path_of(KEY)
    good = path.read_bytes()
    for bad in damaged(good):
        path.write_bytes(bad)
        fresh = KernelCache(cache.directory)
        assert fresh.get_or_build(KEY, artifact) == artifact()
        assert (fresh.stats.rejected, fresh.stats.compiled) == (1, 1)
        assert path.read_bytes() == good


def test_an_entry_under_the_wrong_name_is_rejected(cache):
    cache.get_or_build(KEY, artifact)
    other = {**KEY, "dtype": "f64"}
    target = cache.path_of(other)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(cache.path_of(KEY).read_bytes())
    assert KernelCache(cache.directory).get_or_build(other, lambda: artifact("f64")).object == b"f64"
    with pytest.raises(CorruptEntry, match="another key"):
        Artifact.from_bytes(artifact().to_bytes("a"), "b")


def test_no_temporary_file_is_left(cache):
    for i in range(5):
        cache.get_or_build({"i": i}, artifact)
    assert {p.suffix for p in cache.directory.rglob("*") if p.is_file()} == {".kernel"}


def test_a_failed_build_is_not_remembered(cache):
    def broken() -> Artifact:
        raise pith.PassError("no")

    with pytest.raises(pith.PassError):
        cache.get_or_build(KEY, broken)
    assert cache.get_or_build(KEY, artifact) == artifact()
    assert (cache.stats.misses, cache.stats.compiled) == (2, 1)


def test_threads_that_want_the_same_kernel_wait_for_one_build(cache):
    builds = []

    def slow() -> Artifact:
        builds.append(threading.get_ident())
        time.sleep(0.1)
        return artifact()

    results: list[Artifact] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get_or_build(KEY, slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1 and len(results) == 8 and all(r is results[0] for r in results)


def test_memory_is_bounded_and_disk_serves_the_rest(tmp_path):
    cache = KernelCache(tmp_path, memory_bytes=250)
    for i in range(5):
        cache.get_or_build({"i": i}, lambda: artifact("x" * 100))
    cache.get_or_build({"i": 4}, no_build)
    assert cache.stats.memory_hits == 1
    cache.get_or_build({"i": 0}, no_build)
    assert cache.stats.disk_hits == 1


def test_a_file_in_the_way_is_an_error(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for directory in (file, file / "below"):
        monkeypatch.setenv("PITH_CACHE_DIR", str(directory))
        with pytest.raises(pith.CacheError, match=r"is not a directory(.|\n)*PITH_CACHE_DIR"):
            KernelCache()


def test_an_unwritable_directory_warns_once_and_works(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    cache = KernelCache(tmp_path / "cache")
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.warns(RuntimeWarning, match="cannot write its kernel cache"):
        assert cache.get_or_build(KEY, artifact) == artifact()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.get_or_build({"other": 1}, artifact)
        assert cache.get_or_build(KEY, no_build) == artifact()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only directories")
def test_a_read_only_directory_serves_what_it_has(cache):
    cache.get_or_build(KEY, artifact)
    for path in (*cache.directory.rglob("*"), cache.directory):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert KernelCache(cache.directory).get_or_build(KEY, no_build) == artifact()
        with pytest.warns(RuntimeWarning):
            KernelCache(cache.directory).get_or_build({"new": 1}, artifact)
    finally:
        cache.directory.chmod(0o755)


@pytest.mark.parametrize("off", ["0", "false", "OFF", "no"])
def test_off_means_every_request_builds(tmp_path, monkeypatch, off):
    monkeypatch.setenv("PITH_CACHE", off)
    cache = KernelCache(tmp_path / "cache")
    cache.get_or_build(KEY, artifact)
    cache.get_or_build(KEY, artifact)
    assert cache.stats.compiled == 2 and not (tmp_path / "cache").exists()


WRITER = """
import sys
from pith.runtime import Artifact, KernelCache, Signature
cache = KernelCache(sys.argv[1], memory_bytes=0)  # remembers the last entry alone
for i in range(40):
    got = cache.get_or_build({"i": i % 4}, lambda: Artifact(bytes([i % 4]) * 200_000, (Signature("f", ()),)))
    assert got.object == bytes([i % 4]) * 200_000
assert cache.stats.rejected == 0, cache.stats
"""


def test_processes_share_a_directory(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_artifacts_survive_serialisation():
    original = artifact()
    assert Artifact.from_bytes(original.to_bytes("k"), "k") == original
    assert json.dumps(original.meta) == '{"tile": [4, 16]}'


def test_an_unknown_entry_function_is_named():
    empty = Artifact(b"", ())
    with pytest.raises((pith.ArgumentError, pith.RuntimeLibraryError)):
        empty.function("g")


def test_an_interrupted_writer_leaves_nothing(cache, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", interrupt)
        cache.get_or_build(KEY, artifact)
    assert not [p for p in cache.directory.rglob("*") if p.is_file()]
    assert cache.get_or_build(KEY, artifact) == artifact()
