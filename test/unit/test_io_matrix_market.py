"""Matrix Market: every variant, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pith
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def _read(tmp_path, text: str | bytes, name: str = "a.mtx") -> pith.SparseTensor:
    path = tmp_path / name
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return pith.read(path)


def _text(banner: str, *lines: str) -> str:
    return "\n".join((f"%%MatrixMarket matrix {banner}", *lines, ""))


VARIANTS = [
    ("coordinate real general", ["2 3 2", "1 3 1.5", "2 1 -2e3"], [[0, 0, 1.5], [-2000, 0, 0]], "float64"),
    ("coordinate double general", ["1 1 1", "1 1 2.5D-1"], [[0.25]], "float64"),
    ("coordinate integer general", ["1 2 1", "1 2 9223372036854775807"], [[0, 2**63 - 1]], "int64"),
    ("coordinate unsigned-integer general", ["1 1 1", "1 1 18446744073709551615"], [[2**64 - 1]], "uint64"),
    ("coordinate complex general", ["1 2 1", "1 2 3 -4"], [[0, 3 - 4j]], "complex128"),
    ("coordinate pattern general", ["2 2 2", "1 2", "2 1"], [[0, 1], [1, 0]], "float32"),
    ("coordinate real symmetric", ["2 2 2", "1 1 5", "2 1 7"], [[5, 7], [7, 0]], "float64"),
    ("coordinate pattern symmetric", ["2 2 1", "2 1"], [[0, 1], [1, 0]], "float32"),
    ("coordinate integer skew-symmetric", ["2 2 1", "2 1 7"], [[0, -7], [7, 0]], "int64"),
    ("coordinate complex hermitian", ["2 2 2", "1 1 5 0", "2 1 3 4"], [[5, 3 - 4j], [3 + 4j, 0]], "complex128"),
    ("coordinate complex symmetric", ["2 2 1", "2 1 3 4"], [[0, 3 + 4j], [3 + 4j, 0]], "complex128"),
    ("array real general", ["2 3", "1", "2", "3", "4", "5", "6"], [[1, 3, 5], [2, 4, 6]], "float64"),
    ("array integer symmetric", ["2 2", "1", "2", "3"], [[1, 2], [2, 3]], "int64"),
    ("array real skew-symmetric", ["3 3", "1", "2", "3"], [[0, -1, -2], [1, 0, -3], [2, 3, 0]], "float64"),
    ("array complex hermitian", ["2 2", "1 0", "2 5", "3 0"], [[1, 2 - 5j], [2 + 5j, 3]], "complex128"),
    ("array complex general", ["1 2", "1 0", "2 5"], [[1, 2 + 5j]], "complex128"),
    ("coordinate real general", ["0 0 0"], np.zeros((0, 0)), "float64"),
    ("coordinate real general", ["3 2 0"], np.zeros((3, 2)), "float64"),
    ("array real general", ["0 5"], np.zeros((0, 5)), "float64"),
]


@pytest.mark.parametrize(("banner", "lines", "expected", "dtype"), VARIANTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a.mtx", "A.MTX.GZ"])
def test_variants(tmp_path, banner, lines, expected, dtype, end, name):
    text = _text(banner, "% a comment", "%", "", *lines).replace("\n", end)
    if name == "A.MTX.GZ":
        (tmp_path / name).write_bytes(gzip.compress(text.upper().encode()))
        tensor = pith.read(tmp_path / name)
    else:
        tensor = _read(tmp_path, text, name)
    np.testing.assert_array_equal(tensor.to_dense(), np.array(expected, dtype))
    assert tensor.dtype == dtype
    assert tensor.validate().format == pith.CSR


def test_agrees_with_scipy(tmp_path):
    import scipy.io
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    matrix = sp.random_array((300, 200), density=0.1, rng=rng)
    scipy.io.mmwrite(tmp_path / "a.mtx", matrix)
    np.testing.assert_array_equal(pith.read(tmp_path / "a.mtx").to_dense(), matrix.toarray())


def test_blank_lines_spaces_and_no_last_newline(tmp_path):
    text = _text("coordinate real general", "2 2 2", "", "  1\t1   nan ", "", "2 2 -Inf").rstrip("\n")
    np.testing.assert_array_equal(_read(tmp_path, text).to_dense(), [[np.nan, 0], [0, -np.inf]])


def test_repeated_entries_are_added_up(tmp_path):
    text = _text("coordinate real general", "2 2 2", "1 1 2", "1 1 3")
    assert _read(tmp_path, text).to_dense().tolist() == [[5, 0], [0, 0]]


def test_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("pith.io.text._BLOCK", 50)
    rows = np.arange(1, 200)
    text = _text("coordinate integer general", "199 199 199", *(f"{r} {200 - r} {r}" for r in rows))
    np.testing.assert_array_equal(_read(tmp_path, text).to_dense(), np.fliplr(np.diag(rows)))
    with pytest.raises(pith.FileFormatError, match=r"a\.mtx:152: 'x' is not|a\.mtx:152: unexpected character b'x'"):
        _read(tmp_path, text.replace("150 50 150", "150 50 x"))
    with pytest.raises(pith.FileFormatError, match=r"a\.mtx:152: column 500 is outside of 1\.\.199"):
        _read(tmp_path, text.replace("150 50 150", "150 500 150"))


def test_more_rows_than_entries_give_coordinates(tmp_path):
    tensor = _read(tmp_path, _text("coordinate real general", "1000000000000 10 1", "999999999999 2 1"))
    assert tensor.nbytes < 100 and repr(tensor).startswith("SparseTensor(1000000000000x10 float64, coo")


REAL = "coordinate real general"
BAD = [
    ("", 1, "banner"),
    ("hello\n1 1 1\n", 1, "banner"),
    ("%%MatrixMarket matrix coordinate real\n", 1, "banner"),
    (_text("list real general", "1 1 1"), 1, "'list'(.|\n)*coordinate, array"),
    (_text("coordinate quaternion general", "1 1 1"), 1, "'quaternion'"),
    (_text("coordinate real upper", "1 1 1"), 1, "'upper'"),
    ("%%MatrixMarket vector coordinate real general\n1 1 1\n", 1, "'vector'"),
    (_text("coordinate real hermitian", "1 1 1", "1 1 1"), 1, "hermitian matrix is complex"),
    (_text("array pattern general", "1 1"), 1, "pattern has no values"),
    (_text("coordinate pattern skew-symmetric", "1 1 0"), 1, "pattern has no values"),
    (_text(REAL), 2, "expects the size line"),
    (_text(REAL, "2 2"), 2, "expects the size line.*'2 2'"),
    (_text(REAL, "2 2 2 2"), 2, "expects the size line"),
    (_text(REAL, "-2 2 1"), 2, "expects the size line"),
    (_text(REAL, "2.0 2 1"), 2, "expects the size line"),
    (_text(REAL, "nan 2 1"), 2, "expects the size line"),
    (_text(REAL, "9" * 40 + " 2 1"), 2, "expects the size line"),
    (_text(REAL, f"{2**60} 2 1", "1 1 1"), 2, "beyond 2"),
    (_text(REAL, "2 2 5", *["1 1 1"] * 5), 2, "declares 5 entries, more than the 2 x 2"),
    (_text("coordinate real symmetric", "2 3 0"), 2, "is square, got 2 x 3"),
    (_text(REAL, "9 9 80", "1 1 1"), 2, "cannot hold"),
    (_text(REAL, "2 2 2", "1 1 1.000000"), 3, "ends after 1 of 2 entries"),
    (_text(REAL, "2 2 1", "1 1 1", "", "2 2 1"), 5, "more entries than the 1 declared"),
    (_text(REAL, "2 2 1", "0 1 1"), 3, r"row 0 is outside of 1..2"),
    (_text(REAL, "2 2 1", "-1 1 1"), 3, r"row -1 is outside"),
    (_text(REAL, "2 2 1", "1 3 1"), 3, r"column 3 is outside"),
    (_text(REAL, "2 2 1", "1.5 1 1"), 3, "row 1.5 is not an integer"),
    (_text(REAL, "2 2 1", "nan 1 1"), 3, "row nan is not an integer"),
    (_text(REAL, "2 2 1", "1 inf 1"), 3, "column inf"),
    (_text(REAL, "2 2 1", "99999999999999999999999 1 1"), 3, "row 1e\\+23 is outside"),
    (_text(REAL, "2 2 1", "1 1 1e999"), 3, "'1e999' is out of range"),
    (_text(REAL, "2 2 1", "1 1 abc"), 3, "unexpected character b'b'"),
    (_text(REAL, "2 2 1", "1 1 1-2"), 3, "'1-2' is not a number"),
    (_text(REAL, "2 2 1", "1 1 1e"), 3, "'1e' is not a number"),
    (_text(REAL, "2 2 1", "1 1 0x10"), 3, "unexpected character b'x'"),
    (_text(REAL, "2 2 1", "1 1 1\0"), 3, "unexpected character"),
    (_text(REAL, "2 2 1", "1 1 1 7"), 3, r"expects 3 number\(s\) per line, got 4"),
    (_text(REAL, "2 2 2", "1 1 1", "% late", "2 2 2"), 4, "unexpected character b'%'"),
    (_text(REAL, "2 2 2", "1 1 1", "2 2"), 4, r"expects 3 number\(s\) per line, got 2"),
    (_text("coordinate integer general", "2 2 1", "1 1 1.5"), 3, r"unexpected character b'\.'"),
    (_text("coordinate integer general", "2 2 1", "1 1 99999999999999999999"), 3, "out of range for int64"),
    (_text("coordinate pattern general", "2 2 1", "9223372036854775808 1"), 3, "out of range for int64"),
    (_text("coordinate unsigned-integer general", "2 2 1", "1 1 -1"), 3, "unexpected character b'-'"),
    (_text("coordinate pattern general", "2 2 1", "1 1 5"), 3, "expects 2"),
    (_text("coordinate complex general", "2 2 1", "1 1 5      "), 3, "expects 4"),
    (_text("coordinate real symmetric", "2 2 1", "1 2 5"), 3, "above the diagonal"),
    (_text("coordinate real skew-symmetric", "2 2 1", "2 2 5"), 3, "on the diagonal of a skew"),
    (_text("coordinate complex hermitian", "2 2 1", "2 2 5 1"), 3, "complex entry on the diagonal"),
    (_text("array real general", "2 2", "1", "2", "3", " "), 6, "ends after 3 of 4"),
    (_text("array real general", "1 1", "1", "2"), 4, "more entries than the 1"),
    (_text("array real general", f"{2**50} {2**50}", "1"), 2, "cannot hold"),
    ("%%MatrixMarket matrix coordinate real general\n%" + "x" * 70000, 2, "longer than"),
]


@pytest.mark.parametrize(("text", "line", "message"), BAD)
@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz"])
def test_malformed(tmp_path, text, line, message, name):
    zipped = name.endswith(".gz")
    if zipped and "cannot hold" in message:
        message = "cannot hold|ends after"
    with pytest.raises(pith.FileFormatError, match=message) as caught:
        _read(tmp_path, text, name)
    if not (zipped and "ends after" in message):
        assert caught.value.where == f"{tmp_path / name}:{line}"
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz"])
@pytest.mark.parametrize("banner", ["coordinate real general", "array real general", "coordinate pattern symmetric"])
def test_what_a_header_claims_is_not_allocated(tmp_path, name, banner):
    sizes = "3000000000 3000000000" + (" 2000000000" if "coord" in banner else "")
    path = tmp_path / name
    data = _text(banner, sizes, "1 1 1").encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    tracemalloc.start()
    with pytest.raises(pith.FileFormatError, match="cannot hold"):
        pith.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("cut", [10, -4, -12])
def test_damaged_gzip(tmp_path, cut):
    data = gzip.compress(_text(REAL, "2 2 1", "1 1 1").encode())[:cut]
    (tmp_path / "a.mtx.gz").write_bytes(data)
    with pytest.raises(pith.FileFormatError, match="cannot decompress"):
        pith.read(tmp_path / "a.mtx.gz")


def test_not_gzip(tmp_path):
    (tmp_path / "a.mtx.gz").write_text("plain")
    with pytest.raises(pith.FileFormatError, match="cannot decompress"):
        pith.read(tmp_path / "a.mtx.gz")


SEEDS = [
    _text(REAL, "% c", "3 4 3", "1 1 1.5", "2 4 -2e3", "3 2 7").encode(),
    _text("coordinate complex hermitian", "2 2 2", "1 1 5 0", "2 1 3 4").encode(),
    _text("coordinate pattern symmetric", "3 3 2", "2 1", "3 3").encode(),
    _text("array integer general", "2 2", "1", "2", "3", "4").encode(),
]

#: Where, what (replace, insert, delete, truncate), which byte, how often.
EDIT = st.tuples(
    st.integers(0, 120),
    st.integers(0, 3),
    st.sampled_from(b"0123456789-+.eEdnaif \n\r\t%\0\xff"),
    st.integers(1, 20),
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(EDIT, min_size=1, max_size=4),
)
def test_fuzzed_files_read_or_raise(tmp_path_factory, seed, edits):
    data = bytearray(seed)
    for at, kind, byte, length in edits:
        at = min(at, len(data))
        if kind == 0:
            data[at : at + 1] = bytes([byte])
        elif kind == 1:
            data[at:at] = bytes([byte]) * length
        elif kind == 2:
            del data[at : at + length]
        else:
            del data[at:]
    path = tmp_path_factory.mktemp("fuzz") / "a.mtx"
    path.write_bytes(bytes(data))
    try:
        tensor = pith.read(path)
    except pith.FileFormatError as error:
        assert error.where and error.where.startswith(f"{path}:")
    else:
        tensor.validate()
