"""``pith inspect``: pictures, occupancies, tightest formats, predicted speed, model files. No compiler."""

from __future__ import annotations

import json
import re
import struct
import zlib

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.cli.main import main
from pith.cli.picture import LEAST_PIXELS, MOST_PIXELS, write_png
from pith.io.safetensors import read_safetensors

RNG = np.random.default_rng(3)


def inspect(capsys, *arguments, status=0):
    assert main(["inspect", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def write_safetensors(path, tensors):
    """The file format, from its description."""
    names = {"float32": "F32", "bfloat16": "BF16", "int8": "I8", "float64": "F64"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, t in tensors.items():
        header[name] = {
            "dtype": names[t.dtype.name],
            "shape": t.shape,
            "data_offsets": [len(data), len(data) + t.nbytes],
        }
        data += t.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def decode_png(path):
    """Pixels of an 8-bit grey PNG without filters: what the writer says it writes."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour) == (8, 0) and list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


# -- pictures -------------------------------------------------------------------------


def test_a_small_pattern_is_drawn_element_by_element(tmp_path):
    mask = RNG.random((5, 8)) < 0.4
    size = write_png(tmp_path / "a.png", np.array(np.nonzero(mask)), mask.shape)
    pixels = decode_png(tmp_path / "a.png")
    zoom = LEAST_PIXELS // 8
    assert pixels.shape == (5 * zoom, 8 * zoom) == size[::-1]
    np.testing.assert_array_equal(pixels, np.where(np.kron(mask, np.ones((zoom, zoom), bool)), 0, 255))


def test_a_large_pattern_is_drawn_by_density(tmp_path):
    shape = (4 * MOST_PIXELS, 2 * MOST_PIXELS)
    rows = np.concatenate([np.repeat(np.arange(4), 2), [4000]])
    columns = np.concatenate([np.tile(np.arange(2), 4), [2000]])
    write_png(tmp_path / "a.png", np.stack([rows, columns]), shape)
    pixels = decode_png(tmp_path / "a.png")
    assert pixels.shape == (MOST_PIXELS, MOST_PIXELS // 2)
    assert pixels[0, 0] > 100 and pixels[0, 0] < 255, "8 of 16 elements are there"
    assert pixels[1000, 500] == 204, "one is there: not white"
    assert (pixels != 255).sum() == 2


def test_inspect_writes_a_picture(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.eye(16, dtype=np.float32))
    out = inspect(capsys, tmp_path / "w.npy", "--png", tmp_path / "w.png", "--no-picture")
    assert f"written: {tmp_path / 'w.png'}, 256 x 256 pixels" in out
    assert (decode_png(tmp_path / "w.png")[:16, :32] == np.repeat([[0, 255]], 16, axis=1)).all()
    np.save(tmp_path / "empty.npy", np.zeros((3, 3)))
    assert "nothing to draw" in inspect(capsys, tmp_path / "empty.npy", "--png", tmp_path / "x.png", status=1)
    assert not (tmp_path / "x.png").exists()


# -- matrices -------------------------------------------------------------------------


@pytest.fixture
def two_ranks(tmp_path):
    """A matrix that is C1(2:4)->C0(2:4) and full in it."""
    w = pith.prune(RNG.standard_normal((32, 64)).astype(np.float32), "C1(2:4)->C0(2:4)")
    np.save(tmp_path / "w.npy", w)
    return tmp_path / "w.npy", w


def test_the_tightest_formats_come_first(two_ranks, capsys):
    path, w = two_ranks
    lines = inspect(capsys, path, "--no-picture").splitlines()
    rows = [line for line in lines if "(tight)" in line]
    sizes = [int(row.split("(tight)")[1].split()[0]) for row in rows]
    assert rows[0].startswith("C1(2:4)->C0(2:4) (tight)") and sizes == sorted(sizes)
    assert sizes[0] == pith.compress(w, "C1(2:4)->C0(2:4)").nbytes
    assert rows[0].split()[4] == "100.00%"


def test_predicted_speed_follows_the_columns(two_ranks, capsys):
    tables = [inspect(capsys, two_ranks[0], "--no-picture", "--columns", n) for n in (4, 512)]
    for table, n in zip(tables, (4, 512)):
        assert f"N = {n}" in table
        rows = [
            row for row in table.splitlines() if re.match(r"(csr|csc|coo|bsr|dense|C\d)", row) and row.endswith("x")
        ]
        assert len(rows) >= 6
        assert next(r for r in rows if r.startswith("dense")).endswith("1.00x")
    assert tables[0] != tables[1]


def test_occupancies_of_ranks(two_ranks, capsys):
    out = inspect(capsys, two_ranks[0], "--no-picture")
    assert re.search(r"C1, H = 4 .* 2: 100 %\n", out) and re.search(r"C0, H = 4 .* 2: 100 %\n", out)
    named = inspect(capsys, two_ranks[0], "--no-picture", "--format", "C0(8:16)")
    assert re.search(r"C0, H = 16 .* 4: 100 %\n", named) and "C1, H" not in named


def test_occupancies_count_empty_groups(tmp_path, capsys):
    w = np.zeros((1, 16), np.float32)
    w[0, :3] = 1
    np.save(tmp_path / "w.npy", w)
    out = inspect(capsys, tmp_path / "w.npy", "--no-picture", "--format", "C0(3:4)")
    assert re.search(r"C0, H = 4 .* 0: 75 %  3: 25 %\n", out)


def test_element_types_without_kernels_have_no_prediction(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.eye(8, dtype=np.complex64))
    out = inspect(capsys, tmp_path / "w.npy", "--no-picture")
    assert next(line for line in out.splitlines() if line.startswith("csr")).split()[-2:] == ["-", "-"]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"junk"])
def test_files_that_are_no_arrays(content, tmp_path, capsys):
    (tmp_path / "w.npy").write_bytes(content)
    assert "is not a .npy file" in inspect(capsys, tmp_path / "w.npy", status=1)


# -- models ---------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    tensors = {
        "a.weight": pith.prune(RNG.standard_normal((64, 32)).astype(np.float32), "C0(2:4)"),
        "a.bias": np.ones(64, np.float32),
        "b.weight": RNG.standard_normal((16, 64)).astype(ml_dtypes.bfloat16),
        "c.weight": (RNG.random((32, 32)) < 0.05).astype(np.int8),
    }
    write_safetensors(tmp_path / "m.safetensors", tensors)
    return tmp_path / "m.safetensors", tensors


def test_safetensors_are_read(model):
    path, tensors = model
    found = read_safetensors(path)
    assert list(found) == list(tensors)
    for name, t in tensors.items():
        assert found[name].dtype == t.dtype
        np.testing.assert_array_equal(found[name].view(np.uint8), t.view(np.uint8))


def test_a_model_is_described_matrix_by_matrix(model, capsys):
    path, tensors = model
    out = inspect(capsys, path, "--columns", 32)
    assert "3 matrices of 4 tensors, N = 32" in out
    rows = {
        line.split()[0]: line.split()[1:]
        for line in out.splitlines()
        if ".weight" in line and "safetensors" not in line
    }
    assert rows["a.weight"][:3] == ["64x32", "50.00%", "C0(2:4)"] and rows["a.weight"][-1].endswith("x")
    assert rows["b.weight"][:3] == ["16x64", "100.00%", "dense"]
    dense = sum(t.nbytes for t in tensors.values() if t.ndim == 2)
    assert f"of {dense / 1e6:.2f} MB dense" in out


def test_filters_of_convolutions_are_matrices(tmp_path, capsys):
    filters = pith.prune(RNG.standard_normal((16, 8, 3, 3)).astype(np.float32), "MCRS: CRS0(2:4)")
    write_safetensors(tmp_path / "m.safetensors", {"conv.weight": filters, "stack": np.ones((2, 3, 4), np.float32)})
    out = inspect(capsys, tmp_path / "m.safetensors")
    (line,) = [line.split() for line in out.splitlines() if line.startswith("conv.weight")]
    assert "1 matrices of 2 tensors" in out and line[1:4] == ["16x8x3x3", "50.00%", "C0(2:4)"]


def test_one_tensor_of_a_model(model, capsys):
    out = inspect(capsys, model[0], "--tensor", "a.weight", "--no-picture")
    assert ": a.weight: 64 x 32 float32" in out and "C0(2:4) (tight)" in out
    error = inspect(capsys, model[0], "--tensor", "a.wait", status=1)
    assert "has no tensor 'a.wait'" in error and "a.weight" in error


def test_torch_files(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(32, 16)
    torch.save(linear.state_dict(), tmp_path / "m.pt")
    assert "1 matrices of 2 tensors" in inspect(capsys, tmp_path / "m.pt")
    torch.save(linear, tmp_path / "whole.pt")
    assert "holds something else than tensors" in inspect(capsys, tmp_path / "whole.pt", status=1)
    torch.save([1, 2], tmp_path / "list.pt")
    assert "holds no tensors by name" in inspect(capsys, tmp_path / "list.pt", status=1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:4],
        lambda data: (1 << 40).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"x" + data[9:],
        lambda data: data.replace(b'"shape": [64, 32]', b'"shape": [64, 33]'),
        lambda data: data.replace(b'"shape": [64, 32]', b'"shape": [-4, 32]'),
        lambda data: data[:-100],
        lambda data: data.replace(b'"dtype"', b'"dtipe"', 1),
    ],
)
def test_damaged_safetensors_are_refused(damage, model, capsys):
    path, _ = model
    path.write_bytes(damage(path.read_bytes()))
    assert "not a safetensors file" in inspect(capsys, path, status=1)


def test_a_model_without_matrices(tmp_path, capsys):
    write_safetensors(tmp_path / "m.safetensors", {"bias": np.ones(3, np.float32)})
    assert "none of them a matrix" in inspect(capsys, tmp_path / "m.safetensors", status=1)


def test_diagonals(tmp_path, capsys):
    w = np.eye(40) + np.eye(40, k=7)
    pith.write(tmp_path / "a.mtx", pith.compress(w, "csr"))
    assert main(["inspect", str(tmp_path / "a.mtx"), "--format", "dia", "--no-picture"]) == 0
    out = capsys.readouterr().out
    assert "dia (tight)" in out
    lines = [line.split() for line in out.splitlines() if line.startswith("  d")]
    assert ["d1", "-", "d0", "compressed", "2", "2.53%"] in lines  # of 79 diagonals
    assert ["d0", "dense", "73", "91.25%"] in lines
    assert main(["inspect", str(tmp_path / "a.mtx"), "--format", "band(1:1)", "--no-picture"]) == 0
    assert "is on diagonal 7" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("named", ["f32", "float32"])
def test_elements_of_another_type(tmp_path, capsys, named):
    dense = RNG.standard_normal((32, 64)) * (RNG.random((32, 64)) < 0.3)
    pith.write(tmp_path / "a.mtx", pith.compress(dense, "csr"))
    plain = inspect(capsys, tmp_path / "a.mtx", "--no-picture")
    single = inspect(capsys, tmp_path / "a.mtx", "--no-picture", "--dtype", named)
    assert "32 x 64 float64" in plain
    assert "32 x 64 float32" in single
    stored = [int(re.search(r"^csr +(\d+)", text, re.MULTILINE)[1]) for text in (plain, single)]
    assert stored[1] == pith.compress(dense, "csr").astype(np.float32).nbytes < stored[0]
    assert "--dtype: knows f32, bf16" in inspect(capsys, tmp_path / "a.mtx", "--dtype", "q4", status=1)


def test_a_model_of_another_type(tmp_path, capsys):
    write_safetensors(tmp_path / "m.safetensors", {"w": np.eye(64, dtype=np.float32), "b": np.ones(3, np.float32)})
    assert "of 0.02 MB dense" in inspect(capsys, tmp_path / "m.safetensors")
    assert "of 0.01 MB dense" in inspect(capsys, tmp_path / "m.safetensors", "--dtype", "bf16")
    assert "64 x 64 bfloat16" in inspect(capsys, tmp_path / "m.safetensors", "--dtype", "bf16", "--tensor", "w")


@pytest.mark.parametrize("file", ["w.mtx", "w.NPY", "m.safetensors"])
def test_explaining_data_sends_here(file, capsys):
    assert main(["explain", file]) == 1
    assert f"hint: pith inspect {file}" in capsys.readouterr().err
