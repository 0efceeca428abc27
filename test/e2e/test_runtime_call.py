"""Calling compiled kernels: arguments of every kind, results, errors, threads, memory."""

from __future__ import annotations

import array
import gc
import pathlib
import threading

import numpy as np
import pith
import pytest
from pith._mlir import PassManager, ir
from pith.runtime import (
    Library,
    MemRefSpec,
    NativeFunction,
    ScalarSpec,
    Signature,
    compile_object,
    live_bytes,
    numpy_dtype,
)

PIPELINE = (
    "builtin.module(convert-linalg-to-loops,convert-scf-to-openmp,convert-scf-to-cf,convert-math-to-llvm,"
    "convert-math-to-libm,convert-vector-to-llvm,expand-strided-metadata,"
    "finalize-memref-to-llvm{use-generic-functions=true},convert-openmp-to-llvm,convert-arith-to-llvm,"
    "convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts)"
)
ENTRY = "attributes {llvm.emit_c_interface}"


def build(text: str, *signatures: Signature, before: str = "") -> list[NativeFunction]:
    """Functions of a module; ``before``: passes to run ahead of the pipeline, each followed by a comma."""
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        PassManager.parse(PIPELINE.replace("(", f"({before}", 1)).run(module.operation)
        library = Library.from_object(compile_object(module, [s.name for s in signatures]))
    return [NativeFunction(library, s) for s in signatures]


def double_into(dtype: str, element: str, layout: str = "identity") -> NativeFunction:
    """y = x + x over rank 2, with run-time sizes."""
    memref = f"memref<?x?x{element}{', strided<[?, ?], offset: ?>' if layout == 'strided' else ''}>"
    add = f"arith.add{'f' if 'f' in element else 'i'}"
    text = f"""
    func.func @twice(%x: {memref}, %y: {memref}) {ENTRY} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %m = memref.dim %x, %c0 : {memref}
      %n = memref.dim %x, %c1 : {memref}
      scf.parallel (%i, %j) = (%c0, %c0) to (%m, %n) step (%c1, %c1) {{
        %v = memref.load %x[%i, %j] : {memref}
        %w = {add} %v, %v : {element}
        memref.store %w, %y[%i, %j] : {memref}
      }}
      return
    }}"""
    x = MemRefSpec(dtype, (-1, -1), "x", layout=layout)
    y = MemRefSpec(dtype, (-1, -1), "y", writable=True, layout=layout)
    return build(text, Signature("twice", (x, y)))[0]


@pytest.fixture(scope="module")
def twice() -> NativeFunction:
    return double_into("f32", "f32")


@pytest.fixture(scope="module")
def twice_strided() -> NativeFunction:
    return double_into("f32", "f32", "strided")


def random_array(shape, dtype=np.float32, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "index"])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 13)])
def test_element_types_and_odd_sizes(dtype, shape):
    function = double_into(dtype, dtype)
    x = random_array(shape, numpy_dtype(dtype))
    y = np.full(shape, 99, numpy_dtype(dtype))
    function(x, y)
    np.testing.assert_array_equal(y, x + x)


def test_unsigned_integers_fit():
    function = double_into("i8", "i8")
    x, y = np.full((2, 3), 100, np.uint8), np.zeros((2, 3), np.uint8)
    function(x, y)
    np.testing.assert_array_equal(y, 200)


def sources(x: np.ndarray) -> dict[str, object]:
    """The same values as every kind of array-like."""
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    out: dict[str, object] = {
        "numpy": x,
        "read-only": np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
        "fortran order": np.asfortranarray(x),
        "sliced": np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
        "reversed": np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "broadcast": np.broadcast_to(x[:1], x.shape),
        "unaligned": unaligned,
        "memoryview": memoryview(x),
        "array.array": memoryview(array.array("f", x.ravel())).cast("B").cast("f", list(x.shape)),
        "interface": type("Has", (), {"__array_interface__": x.__array_interface__, "owner": x})(),
        "dlpack": type("Has", (), {"__dlpack__": x.__dlpack__, "__dlpack_device__": x.__dlpack_device__})(),
    }
    return out


@pytest.mark.parametrize("kind", sources(np.ones((2, 3), np.float32)))
@pytest.mark.parametrize("layout", ["identity", "strided"])
def test_array_likes(kind, layout, twice, twice_strided):
    function = twice if layout == "identity" else twice_strided
    x = sources(random_array((6, 5)))[kind]
    y = np.full((6, 5), np.nan, np.float32)
    function(x, y)
    want = np.from_dlpack(x) if kind == "dlpack" else np.asarray(x)
    np.testing.assert_array_equal(y, want + want)


def test_strided_outputs_are_written_in_place(twice, twice_strided):
    x, base = random_array((4, 3)), np.full((8, 9), -1, np.float32)
    twice_strided(x, base[::2, ::3])
    np.testing.assert_array_equal(base[::2, ::3], x + x)
    assert (base[1::2] == -1).all() and (base[:, 1::3] == -1).all()
    with pytest.raises(pith.ShapeError, match=r"twice: argument 'y'.*row-major"):
        twice(x, base[::2, ::3])


def test_the_inputs_are_untouched(twice):
    x = random_array((5, 4))
    keep = x.copy()
    twice(x.T, np.empty((4, 5), np.float32))
    np.testing.assert_array_equal(x, keep)


GOOD = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    "args, error, message",
    [
        ((GOOD,), pith.ArgumentError, "twice: expects 2 arguments, got 1"),
        ((GOOD, GOOD[0]), pith.ShapeError, r"argument 'y': expected \?x\?xf32 \(rank 2\), got shape \(3,\)"),
        ((GOOD.astype("f8"), GOOD), pith.DTypeError, r"argument 'x': expected \?x\?xf32, got an array of float64"),
        ((GOOD.astype(">f4"), GOOD), pith.DTypeError, "got an array of >f4"),
        ((GOOD, GOOD.astype("i4")), pith.DTypeError, "argument 'y'.*int32"),
        (([[1.0]], GOOD), pith.ArgumentError, "expected an array, got list"),
        ((None, GOOD), pith.ArgumentError, "expected an array, got NoneType"),
        ((GOOD, sources(GOOD)["read-only"]), pith.ArgumentError, "argument 'y'.*read-only"),
        ((GOOD, bytes(24)), pith.ShapeError, None),
    ],
)
def test_bad_arguments_are_named(twice, args, error, message):
    with pytest.raises((error, pith.DTypeError) if message is None else error, match=message):
        twice(*args)


def test_static_sizes_are_checked():
    text = f"func.func @f(%x: memref<4x?xf32>) {ENTRY} {{ return }}"
    (f,) = build(text, Signature("f", (MemRefSpec("f32", (4, -1), "x"),)))
    f(np.ones((4, 9), np.float32))
    with pytest.raises(pith.ShapeError, match=r"expected 4x\?xf32, got shape \(3, 9\): size 3 in axis 0"):
        f(np.ones((3, 9), np.float32))


NUMBERS = ["i8", "i16", "i32", "i64", "index", "f32", "f64"]


def test_numbers_go_in_and_come_out():
    text = "".join(f"func.func @id_{t}(%x: {t}) -> {t} {ENTRY} {{ return %x : {t} }}\n" for t in ["i1", *NUMBERS])
    names = ["i1", *NUMBERS]
    functions = build(text, *(Signature(f"id_{t}", (ScalarSpec(t, "x"),), (ScalarSpec(t),)) for t in names))
    identity = dict(zip(names, functions))
    assert identity["i1"](True) is True and identity["i1"](0) is False
    for t in NUMBERS:
        for value in (-3, 100, np.int8(5)):
            assert identity[t](value) == value
    assert identity["i8"](255) == -1 and identity["i64"](2**64 - 1) == -1
    assert identity["f64"](0.1) == 0.1 and identity["f32"](0.1) == np.float32(0.1)
    for t, value in (
        ("i8", 256),
        ("i1", 2),
        ("i64", 2**64),
        ("i32", 1.5),
        ("f32", "x"),
        ("f64", None),
        ("f64", 10**400),
    ):
        with pytest.raises(pith.ArgumentError, match=f"id_{t}: argument 'x'"):
            identity[t](value)


def test_many_numbers_between_memrefs():
    """More than fit in registers, of all kinds, in an order that mixes them."""
    args = [("f32", 0.5), ("i32", -7), ("f64", 0.25), ("index", 9)] * 4
    params = ", ".join(f"%a{i}: {t}" for i, (t, _) in enumerate(args))
    body = []
    for i, (t, _) in enumerate(args):
        source = f"%a{i}"
        if t == "index":
            body.append(f"%b{i} = arith.index_cast %a{i} : index to i64")
            source, t = f"%b{i}", "i64"
        convert = {"f32": "extf", "i32": "sitofp", "i64": "sitofp"}.get(t)
        if convert:
            body.append(f"%v{i} = arith.{convert} {source} : {t} to f64")
            source = f"%v{i}"
        body.append(f"%i{i} = arith.constant {i} : index\n memref.store {source}, %y[%i{i}] : memref<16xf64>")
    text = f"func.func @f({params}, %y: memref<16xf64>) {ENTRY} {{ {chr(10).join(body)}\n return }}"
    specs = [ScalarSpec(t) for t, _ in args]
    (f,) = build(text, Signature("f", (*specs, MemRefSpec("f64", (16,), "y", writable=True))))
    y = np.full(16, np.nan)
    f(*(value for _, value in args), y)
    np.testing.assert_array_equal(y, [value for _, value in args])


RESULTS = f"""
func.func @results(%x: memref<?x3xf32>) -> (memref<?x3xf32>, f32, memref<?x3xf32>, memref<2xi8>, i1,
    memref<?x3xf32>, memref<bf16>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x3xf32>
  %copy = memref.alloc(%n) : memref<?x3xf32>
  memref.copy %x, %copy : memref<?x3xf32> to memref<?x3xf32>
  %number = arith.constant 2.5 : f32
  %true = arith.constant true
  %table = memref.get_global @table : memref<2xi8>
  %zero_d = memref.alloc() : memref<bf16>
  %half = arith.constant 1.5 : bf16
  memref.store %half, %zero_d[] : memref<bf16>
  return %copy, %number, %x, %table, %true, %copy, %zero_d : memref<?x3xf32>, f32, memref<?x3xf32>, memref<2xi8>, i1,
    memref<?x3xf32>, memref<bf16>
}}
memref.global "private" constant @table : memref<2xi8> = dense<[3, 4]>
"""


def results_function() -> NativeFunction:
    f32 = MemRefSpec("f32", (-1, 3), "x")
    out = (f32, ScalarSpec("f32"), f32, MemRefSpec("i8", (2,)), ScalarSpec("i1"), f32, MemRefSpec("bf16", ()))
    return build(RESULTS, Signature("results", (f32,), out))[0]


@pytest.mark.parametrize("contiguous", [True, False])
def test_results_of_every_kind(contiguous):
    function = results_function()
    x = random_array((5, 3)) if contiguous else random_array((3, 5)).T
    before = live_bytes()
    copy, number, same, table, flag, again, zero_d = function(x)
    assert number == 2.5 and flag is True and zero_d.dtype == numpy_dtype("bf16") and zero_d == 1.5
    np.testing.assert_array_equal(copy, x)
    np.testing.assert_array_equal(table, [3, 4])
    np.testing.assert_array_equal(same, x)
    assert np.shares_memory(same, x) == contiguous  # else it is the row-major copy the kernel saw
    assert np.shares_memory(copy, again)
    assert live_bytes() - before == copy.nbytes + 2
    view = copy[1:, ::2]
    del copy, again, zero_d
    gc.collect()
    assert live_bytes() - before == 60  # the view keeps the memory
    np.testing.assert_array_equal(view, x[1:, ::2])
    del view
    gc.collect()
    assert live_bytes() == before


FRESH = f"""
func.func @fresh(%x: memref<?x3xf32>) -> (memref<?x3xf32>, f32, i1, memref<bf16>, i32) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x3xf32>
  %copy = memref.alloc(%n) : memref<?x3xf32>
  memref.copy %x, %copy : memref<?x3xf32> to memref<?x3xf32>
  %number = arith.constant 2.5 : f32
  %true = arith.constant true
  %zero_d = memref.alloc() : memref<bf16>
  %half = arith.constant 1.5 : bf16
  memref.store %half, %zero_d[] : memref<bf16>
  %minus = arith.constant -7 : i32
  return %copy, %number, %true, %zero_d, %minus : memref<?x3xf32>, f32, i1, memref<bf16>, i32
}}
"""


def test_results_with_memory_of_their_own_are_made_at_once(monkeypatch):
    """None of them goes through the Python code that looks for shared memory."""
    f32 = MemRefSpec("f32", (-1, 3), "x")
    out = (f32, ScalarSpec("f32"), ScalarSpec("i1"), MemRefSpec("bf16", ()), ScalarSpec("i32"))
    (function,) = build(FRESH, Signature("fresh", (f32,), out))
    monkeypatch.setattr(function, "_unpack", None)
    x = random_array((5, 3))
    before = live_bytes()
    copy, number, flag, zero_d, minus = function(x)
    assert (number, flag, minus) == (2.5, True, -7)
    assert zero_d.dtype == numpy_dtype("bf16") and zero_d.shape == () and zero_d == 1.5
    np.testing.assert_array_equal(copy, x)
    assert copy.flags.writeable and copy.flags.c_contiguous and live_bytes() - before == copy.nbytes + 2
    view = copy[1:, ::2]
    del copy, zero_d
    assert live_bytes() - before == 60
    del view
    assert live_bytes() == before
    assert function(np.empty((0, 3), np.float32))[0].shape == (0, 3)


def test_results_outlive_the_function():
    function = results_function()
    copy, _, _, table, *_ = function(random_array((5, 3), seed=3))
    del function
    gc.collect()
    np.testing.assert_array_equal(copy, random_array((5, 3), seed=3))
    np.testing.assert_array_equal(table, [3, 4])


def resident_kib() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4


def test_ten_thousand_calls_do_not_grow():
    function = results_function()
    x = random_array((4000, 3))
    for _ in range(500):
        function(x)
        function(x.T.copy().T)
    gc.collect()
    live, resident = live_bytes(), resident_kib()
    for _ in range(5000):
        function(x)
        function(x.T.copy().T)
    gc.collect()
    assert live_bytes() == live
    assert resident_kib() - resident < 2048


def test_several_threads_at_once(twice):
    errors: list[str] = []

    def work(seed: int) -> None:
        x = random_array((40 + seed, 33), seed=seed)
        for _ in range(300):
            y = np.full(x.shape, np.nan, np.float32)
            twice(x, y)
            if not np.array_equal(y, x + x):
                errors.append(f"thread {seed}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_the_foreign_path_agrees(twice, monkeypatch):
    """Without the builtin fast path, ctypes calls the kernel."""
    x, y = random_array((3, 4)), np.zeros((3, 4), np.float32)
    function = results_function()
    for f in (twice, function):
        monkeypatch.setattr(f, "_fast", lambda *args: NotImplemented)
    twice(x, y)
    np.testing.assert_array_equal(y, x + x)
    np.testing.assert_array_equal(function(y[:, :3])[0], y[:, :3])


@pytest.mark.parametrize(
    "text, entries, message",
    [
        (f"func.func @f() {ENTRY} {{ return }}", ["g"], "no entry function 'g'(.|\n)*it has f"),
        ("func.func @f() { return }", ["f"], "no entry function 'f'"),
        (f"func.func @f() {ENTRY} {{ return }}", [], "no entry functions are named"),
    ],
)
def test_entries_must_exist(text, entries, message):
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        PassManager.parse(PIPELINE).run(module.operation)
        with pytest.raises(pith.PassError, match=message):
            compile_object(module, entries)


REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{n}" for n in range(8, 16)))


@pytest.mark.parametrize(
    "text, constraints, message",
    [
        ("bogus $0", "=r,r", "invalid instruction mnemonic 'bogus'"),
        ("nop", ",".join(["=q,0", *(f"~{{{r}}}" for r in REGISTERS)]), "more registers than available"),
    ],
)
def test_errors_of_the_code_generator_are_raised(text, constraints, message, capfd):
    """LLVM only prints them, and makes an object that runs without the instruction."""
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(f"""
        llvm.func @f(%a: i64) -> i64 {{
          %r = llvm.inline_asm has_side_effects "{text}", "{constraints}" %a : (i64) -> i64
          llvm.return %r : i64
        }}
        llvm.func @_mlir_ciface_f(%a: i64) -> i64 {{
          %r = llvm.call @f(%a) : (i64) -> i64
          llvm.return %r : i64
        }}""")
        with pytest.raises(pith.PassError, match=message):
            compile_object(module, ["f"])
    assert capfd.readouterr().err == ""


def test_undefined_functions_are_named():
    text = f"""
    func.func private @missing_function()
    func.func @f() {ENTRY} {{
      call @missing_function() : () -> ()
      return
    }}"""
    with pytest.raises((pith.PassError, pith.RuntimeLibraryError), match="missing_function"):
        build(text, Signature("f", ()))
