"""SMTX: reading, and every way a file can be wrong."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = "3, 4, 4\n0 2 2 4\n0 3 1 2\n"


def _read(tmp_path, text: str | bytes) -> pith.SparseTensor:
    path = tmp_path / "a.smtx"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return pith.read(path)


@pytest.mark.parametrize("text", [GOOD, GOOD.replace(",", ""), GOOD.replace("\n", " \r\n"), GOOD.rstrip("\n")])
def test_reads(tmp_path, text):
    tensor = _read(tmp_path, text).validate()
    assert tensor.to_dense().tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert tensor.dtype == np.float32 and tensor.format == pith.CSR


def test_columns_in_any_order(tmp_path):
    assert _read(tmp_path, "1, 3, 2\n0 2\n2 0\n").validate().to_dense().tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("text", ["2, 3, 0\n0 0 0\n\n", "2, 3, 0\n0 0 0\n", "2, 3, 0\n0 0 0"])
def test_no_entries(tmp_path, text):
    assert _read(tmp_path, text).to_dense().tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expects 'rows, columns, entries'"),
        ("3, 4\n0 2 2 4\n0 3 1 2\n", 1, "expects 'rows, columns, entries'"),
        ("3, 4, x\n0 2 2 4\n0 3 1 2\n", 1, "expects 'rows"),
        ("-3, 4, 4\n0 2 2 4\n0 3 1 2\n", 1, "expects 'rows"),
        ("3, 4, 10000000000\n0 2 2 4\n0 3 1 2\n", 1, "more than the file can hold"),
        ("10000000000, 4, 4\n0 2 2 4\n0 3 1 2\n", 1, "more than the file can hold"),
        (f"3, 4, {'9' * 30}\n0 2 2 4\n0 3 1 2\n", 1, "expects 'rows"),
        ("1, 2, 3\n0 3\n0 1 1\n", 1, "more than 1 x 2"),
        ("3, 4, 4\n", 1, "more than the file can hold"),
        ("3, 4, 4\n0      2 2 4", 2, "expects 3 lines, got 2"),
        ("3, 4, 4\n0 2 2 4\n0 3 1 2\n1 1 1 1\n", 4, "after the column indices"),
        ("3, 4, 4\n0 2 4\n0 3 1 2\n", 2, "expects 4 row offsets, got 3"),
        ("3, 4, 4\n0 2 2 4\n0 3 1\n", 3, "expects 4 column indices, got 3"),
        ("3, 4, 4\n0 2 2 4\n0 3 1 2 2\n", 3, "expects 4 column indices, got 5"),
        ("3, 4, 4\n0 3 2 4\n0 3 1 2\n", 2, "fall from 3 to 2 at row 1"),
        ("3, 4, 4\n1 2 2 4\n0 3 1 2\n", 2, "go from 1 to 4"),
        ("3, 4, 4\n0 2 2 3\n0 3 1 2\n", 2, "go from 0 to 3"),
        ("3, 4, 4\n-1 2 2 4\n0 3 1 2\n", 2, "go from -1"),
        ("3, 4, 4\n0 2 2 4\n0 4 1 2\n", 3, r"column index 4 \(entry 1\) is outside of 0..3"),
        ("3, 4, 4\n0 2 2 4\n0 -3 1 2\n", 3, "column index -3"),
        ("3, 4, 4\n0 2 2 4\n0 nan 1 2\n", 3, "unexpected character b'n'"),
        ("3, 4, 4\n0 2 2 4\n0 1.5 1 2\n", 3, r"unexpected character b'\.'"),
        ("3, 4, 4\n0 2 2 4\n0 1-5 1 2\n", 3, "'1-5' is not an integer"),
        (f"3, 4, 4\n0 2 2 4\n0 {'9' * 25} 1 2\n", 3, "out of range for int64"),
        ("3, 4, 4\n0 2 2 4\n3 3 1 2\n", 3, "twice in a row"),
        (b"3, 4, 4\n0 2 2 4\n0 3 1 \x002\n", 3, "unexpected character"),
    ],
)
def test_malformed(tmp_path, text, line, message):
    with pytest.raises(pith.FileFormatError, match=message) as caught:
        _read(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'a.smtx'}:{line}"
    assert caught.value.hint


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 30), st.integers(0, 10), st.binary(max_size=3) | st.sampled_from([b"-", b"9" * 20, b"\n", b" "]))
def test_fuzzed_files_read_or_raise(tmp_path_factory, at, length, replacement):
    path = tmp_path_factory.mktemp("fuzz") / "a.smtx"
    data = GOOD.encode()
    path.write_bytes(data[:at] + replacement + data[at + length :])
    try:
        tensor = pith.read(path)
    except pith.FileFormatError as error:
        assert error.where and error.where.startswith(f"{path}:")
    else:
        tensor.validate()
