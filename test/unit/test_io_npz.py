"""``.npz``: SciPy's layouts, and every way an archive can be wrong."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pith
import pytest
from format_strategies import random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

sp = pytest.importorskip("scipy.sparse")
RNG = np.random.default_rng(5)


def _save(path, **arrays):
    np.savez(path, **{k: np.asarray(v) for k, v in arrays.items()})
    return path


def _csr(**changes):
    arrays = dict(format=b"csr", shape=[2, 3], indptr=[0, 1, 3], indices=[1, 0, 2], data=[1.0, 2, 3])
    return {k: v for k, v in (arrays | changes).items() if v is not None}


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("make", ["array", "matrix"])
@pytest.mark.parametrize("compressed", [True, False])
def test_scipy_layouts(tmp_path, layout, make, compressed):
    x = random_tensor(RNG, (6, 8), "float64", 0.4)
    sp.save_npz(tmp_path / "a.npz", getattr(sp, f"coo_{make}")(x).asformat(layout), compressed)
    np.testing.assert_array_equal(pith.read(tmp_path / "a.npz").validate().to_dense(), x)


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr(2x4)", "C0(*)", "B(3x2)C0(*)", pith.Format.csr(64)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool", "complex64"])
def test_scipy_reads_what_is_written(tmp_path, fmt, dtype):
    x = random_tensor(RNG, (6, 8), dtype, 0.4)
    A = pith.compress(x, fmt)
    pith.write(tmp_path / "a.npz", A)
    loaded = sp.load_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded.toarray(), x)
    assert loaded.dtype == x.dtype and isinstance(loaded, sp.sparray)
    back = pith.read(tmp_path / "a.npz").validate()
    assert (back.format, back.hss, back.dtype) == (A.format, A.hss, A.dtype)
    for written, read in zip(A.buffers, back.buffers, strict=True):
        np.testing.assert_array_equal(written, read)


def test_a_notation_of_another_format_is_refused(tmp_path):
    with pytest.raises(pith.FileFormatError, match=r"pith_notation.*is not the format of the arrays"):
        pith.read(_save(tmp_path / "a.npz", **_csr(pith_notation="C0(2:4)")))


@pytest.mark.parametrize("shape", [(3, 7), (7, 3)])
def test_diagonals_that_leave_the_matrix(tmp_path, shape):
    matrix = sp.dia_array((RNG.normal(size=(3, 5)), [-2, 0, 4]), shape=shape)
    sp.save_npz(tmp_path / "a.npz", matrix)
    np.testing.assert_array_equal(pith.read(tmp_path / "a.npz").to_dense(), matrix.toarray())


def test_unordered_and_repeated_entries_are_put_in_order(tmp_path):
    path = _save(tmp_path / "a.npz", **_csr(indices=[1, 2, 2]))
    assert pith.read(path).validate().to_dense().tolist() == [[0, 1, 0], [0, 0, 5]]


def test_big_endian_arrays(tmp_path):
    path = _save(tmp_path / "a.npz", **_csr(data=np.array([1, 2, 3], ">f4"), indices=np.array([1, 0, 2], ">i4")))
    assert pith.read(path).validate().to_dense().tolist() == [[0, 1, 0], [2, 0, 3]]


def _coo(**changes):
    return dict(format=b"coo", shape=[2, 3], row=[0, 1], col=[1, 2], data=[1.0, 2]) | changes


def _bsr(**changes):
    return dict(format=b"bsr", shape=[2, 4], indptr=[0, 1], indices=[1], data=np.ones((1, 2, 2))) | changes


def _dia(**changes):
    return dict(format=b"dia", shape=[2, 2], offsets=[0], data=np.ones((1, 2))) | changes


def _own(**changes):
    arrays = dict(pith_format="csr", pith_widths=[64, 64, 0], pith_dtype="float64", shape=[2, 3])
    arrays |= dict(buffer_0=[0, 1, 3], buffer_1=[1, 0, 2], buffer_2=[1.0, 2, 3])
    return {k: v for k, v in (arrays | changes).items() if v is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dict(a=[1]), "neither written by pith.write nor"),
        (_csr(format=b"lil"), "unknown SciPy format 'lil'"),
        (_csr(format=[1, 2]), "format: unexpected rank"),
        (_csr(shape=None), "'shape' is missing"),
        (_csr(data=None), "'data' is missing"),
        (_csr(shape=[2.0, 3.0]), "shape: unexpected"),
        (_csr(shape=[2, 3, 4]), "expects a matrix"),
        (_csr(shape=[-2, 3]), "impossible shape"),
        (_csr(shape=[2**63 - 1, 3]), "impossible shape"),
        (_csr(shape=[10**10, 3]), "indptr: expects 10000000001 entries, got 3"),
        (_csr(indptr=[0, 1]), "indptr: expects 3 entries, got 2"),
        (_csr(indptr=[0, 2, 1]), "indptr: entry 2 is 1"),
        (_csr(indptr=[1, 2, 3]), "indptr: entry 0 is 1"),
        (_csr(indptr=[-1, 2, 3]), "indptr: entry 0 is -1"),
        (_csr(indptr=[0, 1, 4]), "indptr: entry 2 is 4"),
        (_csr(indptr=[0.0, np.nan, 3]), "indptr: unexpected rank 1 or type float64"),
        (_csr(indices=[1, 0, 3]), "indices: entry 2 is 3, outside of 0..2"),
        (_csr(indices=[1, -1, 2]), "indices: entry 1 is -1"),
        (_csr(indices=np.array([1, 2**64 - 1, 2], np.uint64)), "indices: entry 1 is"),
        (_csr(indices=[1, 0, np.nan]), "indices: unexpected"),
        (_csr(data=[1.0, 2]), "data: expects 3 entries, got 2"),
        (_csr(data=[[1.0, 2, 3]]), "data: unexpected rank 2"),
        (_csr(data=["a", "b", "c"]), "data: unexpected rank 1 or type <U1"),
        (_coo(row=[0, 2]), "coordinate 2 of dimension 0"),
        (_coo(col=[0, -2]), "coordinate -2 of dimension 1"),
        (_coo(col=[0]), "expects 2 coordinate arrays"),
        (_coo(row=[0.0, np.nan]), "row: unexpected"),
        (_bsr(shape=[3, 4]), "blocks of"),
        (_bsr(data=np.ones((1, 0, 2))), "blocks of"),
        (_bsr(indices=[2]), "indices: entry 0 is 2"),
        (_bsr(data=np.ones(4)), "data: unexpected rank 1"),
        (_dia(offsets=[0, 1]), "one offset per diagonal"),
        (_dia(offsets=[0, 0], data=np.ones((2, 2))), "each once"),
        (_own(pith_format="nonsense"), "cannot parse format"),
        (_own(pith_widths=[64, 64]), "expects 3 widths"),
        (_own(pith_widths=[7, 64, 0]), "posWidth expects"),
        (_own(pith_dtype="float128x"), "does not go with"),
        (_own(pith_dtype="os"), "does not go with"),
        (_own(buffer_2=None), "'buffer_2' is missing"),
        (_own(buffer_1=[1, 0, 3]), "coordinate 3 is outside"),
        (_own(buffer_0=[0, 1, 2]), "positions end at 2"),
        (_own(pith_widths=[32, 32, 0]), "expects int32, got int64"),
        (_own(shape=[2, 3, 4]), "rank 2"),
        (_own(shape=[10**15, 3]), "positions"),
    ],
)
def test_malformed(tmp_path, arrays, message):
    path = _save(tmp_path / "a.npz", **arrays)
    with pytest.raises(pith.FileFormatError, match=message) as caught:
        pith.read(path)
    assert caught.value.where and caught.value.where.startswith(str(path))


def _archive(path, members: dict[str, bytes], method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000,)}"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"", "not a readable"),
        (b"garbage garbage", "not a readable"),
        (_npy("{'descr': '<f8'"), "not a readable"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "header says"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", b"12345678"), "header says"),
        (_npy(HUGE, b"12345678"), "header says 10000000"),
        (_npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**30},)}}"), "header says"),
        (_npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps([1])), "type object"),
        (_npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", b"12345678"), "elements of type"),
        (_npy(HUGE, version=b"\x09\x00"), "unknown .npy version|not a readable"),
    ],
)
def test_malformed_members(tmp_path, member, message):
    good = io.BytesIO()
    np.savez(good, **{k: np.asarray(v) for k, v in _csr().items()})
    with zipfile.ZipFile(good) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    path = _archive(tmp_path / "a.npz", members | {"data.npy": member})
    tracemalloc.start()
    with pytest.raises(pith.FileFormatError, match=message):
        pith.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_an_archive_larger_than_memory_is_refused(tmp_path):
    """The directory of the archive is edited to claim more than deflate can hold."""
    path = _archive(tmp_path / "a.npz", {"data.npy": _npy(HUGE, bytes(1000))}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(bytes(data))
    with pytest.raises(pith.FileFormatError, match="claims 4000000000 bytes"):
        pith.read(path)


def test_not_an_archive(tmp_path):
    for data in (b"", b"hello", b"PK\x03\x04"):
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(pith.FileFormatError, match="not a readable"):
            pith.read(tmp_path / "a.npz")


def test_the_same_name_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("data.npy", b"")
        archive.writestr("data.npy", b"")
    with pytest.raises(pith.FileFormatError, match="twice"):
        pith.read(tmp_path / "a.npz")


def _seed(arrays, compressed):
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **{k: np.asarray(v) for k, v in arrays.items()})
    return out.getvalue()


SEEDS = [_seed(a, z) for a in (_csr(), _coo(), _own(), _bsr(), _dia()) for z in (False, True)]


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_fuzzed_archives_read_or_raise(tmp_path_factory, seed, edits):
    data = bytearray(seed)
    for share, kind, byte in edits:
        at = int(share * (len(data) - 1)) if data else 0
        if kind < 2:
            data[at : at + 1] = bytes([byte])
        elif kind == 2:
            del data[at : at + byte % 8]
        else:
            data[at:at] = bytes([byte])
    path = tmp_path_factory.mktemp("fuzz") / "a.npz"
    path.write_bytes(bytes(data))
    try:
        tensor = pith.read(path)
    except pith.FileFormatError as error:
        assert error.where and error.where.startswith(str(path))
    else:
        tensor.validate()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from((_csr, _coo, _own, _bsr, _dia)), st.data())
def test_archives_with_other_arrays_read_or_raise(tmp_path_factory, make, data):
    """Whole archives with one array replaced: the checks of contents, which checksums hide from byte edits."""
    arrays = make()
    name = data.draw(st.sampled_from(sorted(arrays)))
    numbers = st.integers(-3, 5) | st.sampled_from((2**31, 2**63 - 1, -(2**63)))
    arrays[name] = np.array(data.draw(st.lists(numbers, max_size=5)), data.draw(st.sampled_from(("i8", "f8"))))
    path = _save(tmp_path_factory.mktemp("fuzz") / "a.npz", **arrays)
    try:
        tensor = pith.read(path)
    except pith.FileFormatError:
        return
    tensor.validate()
