"""Programs that make patterns, as pith-level IR, and how their lists on the device are read."""

import numpy as np


def numbers(values):
    return "array<i64: " + ", ".join(map(str, values)) + ">" if values else "array<i64>"


def dense(shape, element):
    return "tensor<" + "".join(f"{'?' if s < 0 else s}x" for s in shape) + element + ">"


def detect(shape, element, axes, granularity, options="", threshold=0.0):
    """``detect(x) -> pattern``; negative sizes are dynamic."""
    x, p = dense(shape, element), f"!pith.pattern<{[shape[a] for a in axes]}, {list(granularity)}>"
    attributes = f"axes = {numbers(axes)}, granularity = {numbers(granularity)}, threshold = {float(threshold)} : f64"
    return f"""func.func @detect(%x: {x}) -> {p} {{
  %p = "pith.detect"(%x) {{{attributes}{options}}} : ({x}) -> {p}
  return %p : {p}
}}"""


def detect_by(element, granularity, threshold, channel):
    """``detect_by(x, threshold) -> pattern`` over both dimensions of a matrix."""
    p = f"!pith.pattern<[-1, -1], {list(granularity)}>"
    attributes = f"axes = array<i64: 0, 1>, granularity = {numbers(granularity)}, channel = {numbers(channel)}"
    return f"""func.func @detect(%x: tensor<?x?x{element}>, %t: {threshold}) -> {p} {{
  %p = "pith.detect_by"(%x, %t) {{{attributes}}} : (tensor<?x?x{element}>, {threshold}) -> {p}
  return %p : {p}
}}"""


def sets(name, granularity):
    """``name(p, q, rows, columns) -> pattern``; ``complement`` leaves q out."""
    p = f"!pith.pattern<[-1, -1], {list(granularity)}>"
    operands, types = ("%p", p) if name == "complement" else ("%p, %q", f"{p}, {p}")
    return f"""func.func @sets(%p: {p}, %q: {p}, %m: index, %n: index) -> {p} {{
  %r = "pith.{name}"({operands}, %m, %n) : ({types}, index, index) -> {p}
  return %r : {p}
}}"""


def topk(element, rank):
    """``topk(scores, k) -> pattern``."""
    x, p = dense([-1] * rank, element), f"!pith.pattern<{[-1] * rank}, {[1] * rank}>"
    return f"""func.func @topk(%x: {x}, %k: index) -> {p} {{
  %p = "pith.topk"(%x, %k) : ({x}, index) -> {p}
  return %p : {p}
}}"""


def sample(element):
    """``sample(x, tiles, threshold, windows) -> shares of empty micro-tiles``."""
    x = dense([-1, -1], element)
    return f"""func.func @sample(%x: {x}, %tiles: tensor<?x2xi32>, %t: f64, %n: index) -> tensor<?xf64> {{
  %s = "pith.sample"(%x, %tiles, %t, %n) : ({x}, tensor<?x2xi32>, f64, index) -> tensor<?xf64>
  return %s : tensor<?xf64>
}}"""


def from_lengths(element, granularity):
    """``from_lengths(lengths, size) -> pattern``."""
    p = f"!pith.pattern<[-1, -1], [1, {granularity}]>"
    return f"""func.func @lengths(%l: tensor<?x{element}>, %s: index) -> {p} {{
  %p = "pith.from_lengths"(%l, %s) : (tensor<?x{element}>, index) -> {p}
  return %p : {p}
}}"""


def from_routing(element, rank):
    """``from_routing(experts) -> pattern`` over (token, expert)."""
    x, p = dense([-1] * rank, element), "!pith.pattern<[-1, 8], [1, 1]>"
    return f"""func.func @routing(%e: {x}) -> {p} {{
  %p = "pith.from_routing"(%e) : ({x}) -> {p}
  return %p : {p}
}}"""


def from_coordinates(rank):
    """``from_coordinates(coordinates) -> pattern``."""
    x, p = "tensor<?xi32>" if rank == 1 else f"tensor<?x{rank}xi32>", f"!pith.pattern<{[-1] * rank}, {[1] * rank}>"
    return f"""func.func @listed(%c: {x}) -> {p} {{
  %p = "pith.from_coordinates"(%c) : ({x}) -> {p}
  return %p : {p}
}}"""


def entries(listed, rank):
    """The coordinates of a list in device memory."""
    count = int(listed[0])
    assert len(listed) >= 1 + rank * count, "the list says that there is more than it has room for"
    return [tuple(map(int, c)) for c in listed[1 : 1 + rank * count].reshape(count, rank)]


def device_list(coordinates, spare=3):
    """A list in device memory with room to spare; what lies past the count is garbage."""
    coordinates = np.asarray(coordinates, np.int32)
    coordinates = coordinates.reshape(len(coordinates), -1) if coordinates.size else np.zeros((0, 2), np.int32)
    out = np.full(1 + coordinates.shape[1] * (len(coordinates) + spare), 7, np.int32)
    out[0] = len(coordinates)
    out[1 : 1 + coordinates.size] = coordinates.ravel()
    return out
