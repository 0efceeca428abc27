"""``pith.conv2d``: patterns on images, channels and filters against torch in float64."""

from __future__ import annotations

import time

import numpy as np
import pith
import pith.functional.conv2d.library as library
import pytest
import torch
from pith.functional.conv2d import named as conv2d_named
from pith.functional.conv2d.geometry import Geometry
from pith.passes.analysis.tile_cost import LatencyTable
from pith.tuning.tiles import Measured, TileTable

RNG = np.random.default_rng(0)


def listed(size, density, granularity=1):
    grid = -(-size // granularity)
    return pith.Pattern.from_indices(RNG.permutation(grid)[: round(grid * density)], size, granularity)


def elements(pattern, size):
    mask = np.zeros(size)
    mask[pattern.indices()] = 1
    return mask


def expected(x, w, patterns, **geometry):
    x, w = x.astype(np.float64), w.astype(np.float64)
    if "channels" in patterns:
        x = x * elements(patterns["channels"], x.shape[1])[:, None, None]
    out = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), **geometry).numpy()
    if "images" in patterns:
        out = out * elements(patterns["images"], len(x))[:, None, None, None]
    if "filters" in patterns:
        out = out * elements(patterns["filters"], len(w))[:, None, None]
    return out


@pytest.mark.parametrize("names", [(), ("channels",), ("filters",), ("images", "filters", "channels")], ids=str)
@pytest.mark.parametrize(
    "geometry", [{}, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}], ids=["plain", "strided"]
)
@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("variant", ["windows", "named", "dense"])
def test_axes(names, geometry, density, variant):
    x, w = RNG.standard_normal((3, 11, 9, 10)), RNG.standard_normal((21, 11, 3, 2))
    x, w = x.astype(np.float32), w.astype(np.float32)
    sizes = {"images": 3, "channels": 11, "filters": 21}
    patterns = {name: listed(sizes[name], density, 4 if name == "filters" else 1) for name in names}
    reference = expected(x, w, patterns, **geometry)
    out = pith.conv2d(x, w, **patterns, **geometry, variant=variant)
    assert np.linalg.norm(out - reference) <= 1e-6 * np.linalg.norm(reference)


@pytest.mark.parametrize("variant", ["windows", "named", "dense"])
@pytest.mark.parametrize("groups", [2, 6])
def test_groups(groups, variant):
    x, w = RNG.standard_normal((3, 6, 9, 10)), RNG.standard_normal((12, 6 // groups, 3, 2))
    patterns, geometry = (
        {"images": listed(3, 0.67)},
        {"stride": (2, 1), "padding": 1, "groups": groups},
    )
    reference = expected(x, w, patterns, **geometry)
    np.testing.assert_allclose(pith.conv2d(x, w, **patterns, **geometry, variant=variant), reference, atol=1e-12)
    assert isinstance(pith.conv2d(*map(torch.from_numpy, (x, w)), **geometry), torch.Tensor)


def test_groups_that_do_not_fit():
    x, w = np.ones((1, 6, 5, 5)), np.ones((4, 3, 2, 2))
    for groups, error in ((3, pith.ShapeError), (0, pith.ArgumentError), (2.0, pith.ArgumentError)):
        with pytest.raises(error):
            pith.conv2d(x, w, groups=groups)
    with pytest.raises(pith.UnsupportedError, match="patterns lie on images"):
        pith.conv2d(x, w, groups=2, filters=listed(4, 0.5))


def test_calls_that_repeat(monkeypatch):
    """Both ways are timed, the faster one runs; arrays, patterns and threads may be others."""
    monkeypatch.setattr(library, "_SOON", 2)
    monkeypatch.setattr(library, "_HOLDS", 2)
    library.forget_repeated()
    geometry = {"stride": (1, 2), "padding": 1}
    ran, run = [], library.Library.__call__

    def slow(self, x, w, way):
        ran.append(way)
        time.sleep(0.01 * (way == "named"))
        return run(self, x, w, way)

    monkeypatch.setattr(library.Library, "__call__", slow)
    patterns = {"channels": listed(20, 0.5), "filters": listed(6, 0.5)}
    for call in range(23):
        if call == 22:  # as many channels, others of them
            patterns["channels"] = pith.Pattern.from_indices(
                np.setdiff1d(range(20), patterns["channels"].indices()), 20
            )
        x, w = RNG.standard_normal((2, 20, 9, 10)), RNG.standard_normal((6, 20, 3, 2))
        x[:, elements(patterns["channels"], 20) == 0] = np.nan
        given = (torch.from_numpy(x), torch.from_numpy(w)) if call % 2 else (x, w)
        out = pith.conv2d(*given, **patterns, **geometry)
        np.testing.assert_allclose(out, expected(np.nan_to_num(x), w, patterns, **geometry), atol=1e-12)
        assert isinstance(out, torch.Tensor) == bool(call % 2)
    first, other = ran[0], "dense" if ran[0] == "named" else "named"
    turns = ([first] * 2 + [other] * 2) * 2
    assert ran == [first, *turns, *["dense"] * 2, *turns, *["dense"] * 2, turns[0], first]


def test_what_is_not_named_is_not_read():
    """Whoever computes it: NaN in dropped channels and images goes nowhere."""
    alive, images = listed(8, 0.5), listed(4, 0.75)
    x, w = RNG.standard_normal((4, 8, 5, 6)), RNG.standard_normal((3, 8, 2, 2))
    reference = expected(x, w, {"channels": alive, "images": images})
    x[:, elements(alive, 8) == 0] = np.nan
    x[elements(images, 4) == 0] = np.nan
    for variant in ("windows", "named", "dense"):
        out = pith.conv2d(x, w, channels=alive, images=images, variant=variant)
        np.testing.assert_allclose(out, reference, atol=1e-12)


def named(channels, **changes):
    """Of a convolution of 64 channels of 28x28, as many filters, with a window of 3x3."""
    return conv2d_named.Named((1, 64, 28, 28), (64, 64, 3, 3), 784, channels, "f32", changes.get("library", True))


def test_choice(monkeypatch):
    """The counts decide, by times that were measured; dense where nothing gains 5 %."""
    rows = {(0, 1): (1.2e-3, 0.6e-3, 0.3e-3)}
    measured = Measured(LatencyTable((0.0, 0.5, 0.9), rows, 1e-3, (64, 576, 784)), {(0, 1): ("in place",) * 3})
    table = TileTable("cpu", "isa", 1, "f32", "left", (measured,))
    monkeypatch.setattr(conv2d_named, "table_for", lambda *_: table)
    conv2d_named._decided.cache_clear()
    assert [conv2d_named.choose(named(n)).chosen.name for n in (4, 32, 62, 64)] == ["named", "named", "dense", "dense"]
    assert conv2d_named.choose(named(4, library=False)).chosen.name == "windows"
    monkeypatch.setattr(conv2d_named, "table_for", lambda *_: None)
    conv2d_named._decided.cache_clear()
    assert [conv2d_named.choose(named(n)).chosen.name for n in (32, 64)] == ["named", "dense"]
    conv2d_named._decided.cache_clear()


def test_explain():
    x, w = np.ones((1, 64, 28, 28), np.float32), np.ones((64, 64, 3, 3), np.float32)
    text = pith.explain(pith.conv2d, x, w, channels=pith.Pattern.from_indices(range(32), 64), padding=1)
    assert text.startswith("1x64x28x28 f32, filters 64x64x3x3, 32 of 64 channels\ntimes from: ")
    assert "runs named: predicted" in text and all(name in text for name in ("dense", "windows", "50.0%"))
    with pytest.raises(pith.ArgumentError, match="expects two operands of a product, got channels"):
        pith.explain(x, w, channels=None)
    with pytest.raises(pith.UnsupportedError, match="no variant 'sparse'"):
        pith.conv2d(x, w, variant="sparse")
    with pytest.raises(pith.UnsupportedError, match="no variant 'named'"):
        pith.conv2d(x.astype(np.float16), w.astype(np.float16), variant="named")


def test_torch_and_other_sizes():
    """One kernel serves other sizes, also windows of one element and as large as the image."""
    alive = listed(4, 0.5)
    for size, window in (((5, 5), (5, 5)), ((1, 7), (1, 1)), ((6, 4), (2, 3))):
        x, w = RNG.standard_normal((1, 4, *size)), RNG.standard_normal((2, 4, *window))
        out = pith.conv2d(torch.from_numpy(x), torch.from_numpy(w), channels=alive)
        np.testing.assert_allclose(out.numpy(), expected(x, w, {"channels": alive}), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_narrow_types(dtype):
    """i8 is summed exactly in i32, f16 in f32."""
    x, w = (RNG.integers(-9, 10, s).astype(dtype) for s in ((2, 6, 8, 9), (5, 6, 3, 3)))
    alive, wanted = listed(6, 0.5), listed(2, 0.5)
    out = pith.conv2d(x, w, channels=alive, images=wanted, padding=1)
    reference = expected(x, w, {"channels": alive, "images": wanted}, padding=1)
    assert out.dtype == (np.int32 if dtype is np.int8 else dtype)
    np.testing.assert_array_equal(out, reference.astype(out.dtype))


X, W = np.ones((1, 2, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (pith.UnsupportedError, "'rows' cannot have a pattern.*operand #0 uses rows in the expression", "rows"),
        (pith.UnsupportedError, "'columns' cannot have a pattern", "columns"),
        (pith.ShapeError, "channels: the axis has size 2, its pattern is for 3", {"channels": listed(3, 1.0)}),
        (pith.ArgumentError, "images: expects a pith.Pattern of one axis", {"images": [0]}),
        (pith.ArgumentError, "stride: expects one or two integers >= 1", {"stride": 0}),
        (pith.ArgumentError, "padding: expects one or two integers >= 0", {"padding": (1, 2, 3)}),
        (pith.ArgumentError, r"got 'same'\n  hint: 0 for 'valid'; window // 2", {"padding": "same"}),
        (pith.ShapeError, "a window of 3 .dilation 2. does not fit", {"dilation": 2}),
    ],
)
def test_bad_input(error, message, options):
    options = {options: listed(2, 1.0)} if isinstance(options, str) else options
    with pytest.raises(error, match=message):
        pith.conv2d(X, W, **options)


def test_bad_operands():
    with pytest.raises(pith.ShapeError, match=r"expects \(n, c, height, width\)"):
        pith.conv2d(X[0], W)
    with pytest.raises(pith.DTypeError, match="no kernel for float32 and float64"):
        pith.conv2d(X, W.astype(float))
    with pytest.raises(pith.DTypeError, match="uint8: integers are signed"):
        pith.conv2d(X.astype(np.uint8), W.astype(np.uint8))
    with pytest.raises(pith.DTypeError, match="uint8: integers are signed"):
        pith.conv2d(*(torch.from_numpy(v).to(torch.uint8) for v in (X, W)))
    for which in (0, 1):
        operands = [torch.from_numpy(v).clone().requires_grad_(i == which) for i, v in enumerate((X, W))]
        with pytest.raises(pith.ArgumentError, match=r"requires a gradient(.|\n)*tensor\.detach"):
            pith.conv2d(*operands)
        with torch.no_grad():
            assert pith.conv2d(*operands).shape == (1, 3, 2, 2)


@pytest.mark.parametrize("variant", ["dense", "named"])
def test_torch_casts_nothing(variant):
    x, w = RNG.standard_normal((2, 20, 9, 10)).astype("f4"), RNG.standard_normal((6, 20, 3, 2)).astype("f4")
    patterns = {"channels": listed(20, 0.5)}
    with torch.autocast("cpu", torch.bfloat16):
        found = [pith.conv2d(x, w, **patterns) for _ in range(9)]
        found.append(library.Library(w.shape, found[0].shape, patterns, Geometry.of(1, 0, 1, ""))(x, w, variant))
    for out in found:
        np.testing.assert_allclose(out, expected(x, w, patterns), atol=1e-4)
