"""``pith.compile`` as users call it: programs of every kind, levels of IR, errors, caching, accuracy."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pith
import pytest
import torch
from cpu_programs import PATHS, Operand, check, generic, multiply_add, random_dense, random_sparse, wide
from pith.compiler.kernel import LEVELS, Kernel
from pith.formats import HSS, Format
from pith.runtime import KernelCache, kernel_cache
from pith.tools.disassembly import CPU
from scipy.special import erf

RNG = np.random.default_rng(11)
HSS_FORMAT = HSS.parse("C1(3:4)->C0(2:4)").to_format()


def product(fmt: Format) -> str:
    """``f(a, x, init) = init + a @ x`` on 6x16 and 16x5."""
    a, x, y = Operand((6, 16), "f32", "i, k", fmt), Operand((16, 5), "f32", "k, j"), Operand((6, 5), "f32", "i, j")
    return generic("i, j, k", "ppr", (a, x), y, multiply_add("f32"))


def arguments(fmt: Format):
    w = random_sparse(RNG, (6, 16), "f32", fmt)
    x, init = random_dense(RNG, (16, 5), "f32"), random_dense(RNG, (6, 5), "f32")
    return pith.compress(w, fmt), x, init, wide(w) @ wide(x) + wide(init)


# -- MLIR in --------------------------------------------------------------------------


def test_text_path_and_module(tmp_path):
    file = tmp_path / "program.mlir"
    file.write_text(product(HSS_FORMAT))
    stored, x, init, ref = arguments(HSS_FORMAT)
    from pith._mlir import ir
    from pith.dialect import make_context

    with make_context():
        module = ir.Module.parse(product(HSS_FORMAT))
        for program in (product(HSS_FORMAT), file, str(file), module):
            check(pith.compile(program)(stored, x, init), ref, "f32")


def test_kernels_know_their_target(tmp_path):
    text = "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }"
    for target in ("cpu", "cpu:avx2"):
        kernel = pith.compile(text, target=target)
        kernel.save(tmp_path / "k.pith")
        assert kernel.target == pith.load(tmp_path / "k.pith").target == target
    linear = torch.nn.Linear(2, 2).eval()
    assert pith.compile(linear, (torch.ones(1, 2),)).target == "cpu"
    with pytest.raises(pith.MissingFileError, match=r"none.k\.pith: No such file(.|\n)*there is no folder"):
        kernel.save(tmp_path / "none" / "k.pith")


def test_entry_chooses_among_functions():
    text = """
    func.func @one(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }
    func.func @two(%x: tensor<2xf32>) -> tensor<2xf32> {
      %y = arith.addf %x, %x : tensor<2xf32>
      return %y : tensor<2xf32>
    }"""
    assert pith.compile(text, entry="two")(np.ones(2, np.float32)).tolist() == [2, 2]
    with pytest.raises(pith.IRError, match="one, two"):
        pith.compile(text)
    with pytest.raises(pith.IRError, match="no function named 'three'"):
        pith.compile(text, entry="three")


def test_arguments_stay_as_they_are():
    """Bufferization would update a tensor argument in place; the caller's array is not a scratch pad."""
    k = pith.compile("""func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
      %c0 = arith.constant 0 : index
      %v = arith.constant 7.0 : f32
      %r = tensor.insert %v into %x[%c0] : tensor<?xf32>
      return %r : tensor<?xf32>
    }""")
    x = np.zeros(3, np.float32)
    assert k(x).tolist() == [7, 0, 0]
    assert x.tolist() == [0, 0, 0]
    identity = pith.compile("func.func @f(%x: tensor<3xf32>) -> tensor<3xf32> { return %x : tensor<3xf32> }")
    result = identity(x)
    result[:] = 1
    assert x.tolist() == [0, 0, 0]


def test_memref_parameters_are_written_to():
    k = pith.compile("""func.func @f(%x: tensor<?xf32>, %y: memref<?xf32>) {
      bufferization.materialize_in_destination %x in restrict writable %y : (tensor<?xf32>, memref<?xf32>) -> ()
      return
    }""")
    x, y = np.arange(3, dtype=np.float32), np.full(3, np.nan, np.float32)
    assert k(x, y) is None
    np.testing.assert_array_equal(y, x)
    y.flags.writeable = False
    with pytest.raises(pith.ArgumentError, match="read-only"):
        k(x, y)
    with pytest.raises(pith.ShapeError, match="row-major"):
        k(x, np.zeros((3, 2), np.float32)[:, 0])


def test_bfloat16_results_for_torch_and_numpy():
    k = pith.compile("""func.func @f(%x: tensor<?xbf16>) -> (tensor<?xbf16>, tensor<?xbf16>) {
      %y = arith.addf %x, %x : tensor<?xbf16>
      return %y, %x : tensor<?xbf16>, tensor<?xbf16>
    }""")
    twice, once = k(torch.ones(3, dtype=torch.bfloat16))
    assert twice.dtype is once.dtype is torch.bfloat16
    assert twice.tolist() == [2, 2, 2]


# -- levels ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_level_compiles_on(path):
    """The IR of each level, fed back, gives the same numbers; sparse tensors are their buffers by then."""
    for fmt in (Format.csr(), HSS_FORMAT):
        stored, x, init, ref = arguments(fmt)
        k = pith.compile(product(fmt), path=path)
        out = k(stored, x, init)
        check(out, ref, "f32")
        np.testing.assert_array_equal(pith.compile(k.ir("pith"), path=path)(stored, x, init), out)
        for level in ("linalg", "vector"):
            again = pith.compile(k.ir(level), path=path)
            np.testing.assert_array_equal(again(*stored.buffers, x, init), out)


def test_the_llvm_level_makes_the_same_object():
    """Below ``llvm`` there is no signature to read, so the runtime is told it."""
    from pith.compiler.build import parse
    from pith.runtime import compile_object
    from pith.runtime.artifact import Artifact

    stored, x, init, _ = arguments(HSS_FORMAT)
    k = pith.compile(
        product(HSS_FORMAT).replace(
            "-> tensor<6x5xf32> {", "-> tensor<6x5xf32> attributes {llvm.emit_c_interface} {", 1
        )
    )
    artifact = Artifact(compile_object(parse(k.ir("llvm")), ["f"]), (k.signature,), {})
    np.testing.assert_array_equal(artifact.function("f")(*stored.buffers, x, init), k(stored, x, init))


def test_what_the_levels_show():
    k = pith.compile(product(HSS_FORMAT))
    shown = {level: k.ir(level) for level in LEVELS}
    assert "#pith.nm<3, 4>" in shown["pith"]
    assert "pith.assemble" in shown["linalg"]
    assert "vector.fma" in shown["vector"] and "tensor<" not in shown["vector"]
    assert "llvm.func @f" in shown["llvm"] and "memref<" not in shown["llvm"]
    assert "\tret" in shown["asm"]
    with pytest.raises(pith.UnsupportedError, match="one of pith, linalg, vector, llvm, asm"):
        k.ir("ptx")


def test_assembly_is_of_the_code_that_runs(monkeypatch):
    """Without a disassembler it is made of the IR, and says so."""
    if CPU.find() is None:
        pytest.skip("no disassembler is installed")
    k, seen = pith.compile(product(HSS_FORMAT)), []
    monkeypatch.setattr(type(CPU), "disassemble", lambda self, code: seen.append(code) or "code")
    assert k.ir("asm") == "code" and seen == [k.artifact.object]
    monkeypatch.setattr(type(CPU), "find", lambda self: None)
    made = Kernel(k.source, k.name, k.path, k.artifact).ir("asm")
    assert made.startswith("# close to the code that runs") and "\tret" in made


def test_dump_writes_a_file_per_level(tmp_path):
    k = pith.compile(product(HSS_FORMAT))
    k.dump(tmp_path / "ir")
    names = sorted(p.name for p in (tmp_path / "ir").iterdir())
    assert names == ["0-pith.mlir", "1-linalg.mlir", "2-vector.mlir", "3-llvm.mlir"]
    assert (tmp_path / "ir" / "1-linalg.mlir").read_text() == k.ir("linalg")


def test_explain_says_what_became_of_each_op():
    explained = {path: pith.compile(product(Format.csr()), path=path).explain() for path in PATHS}
    assert explained["auto"].startswith("[0] panel:")
    assert explained["sparsifier"].startswith("[0] sparsifier:")
    assert "stored as csr\n    density set at run time" in explained["auto"] and "predicted" not in explained["auto"]
    a, b = Operand((6, 16), "f32", "i, j", HSS_FORMAT), Operand((6, 16), "f32", "i, j")
    add = generic("i, j", "pp", (a, b), b, "%p = arith.addf %b0, %b1 : f32\n    linalg.yield %p : f32")
    assert "zeros cannot be skipped" in pith.compile(add).explain()
    csr = dataclasses.replace(a, format=Format.csr())
    larger = generic("i, j", "pp", (csr, b), b, "%p = arith.maximumf %b0, %b1 : f32\n    linalg.yield %p : f32")
    for path in PATHS:
        assert pith.compile(larger, path=path).explain().startswith("[0] dense:")
    both = generic("i, j", "pp", (csr, a), b, "%p = arith.mulf %b0, %b1 : f32\n    linalg.yield %p : f32")
    assert pith.compile(both).explain().startswith("[0] scalar:")
    assert "stored as C1(3:4)->C0(2:4)\n" in pith.compile(both).explain()
    dense = generic("i, j", "pp", (b,), b, "linalg.yield %b0 : f32")
    assert "everything runs dense" in pith.compile(dense).explain()


# -- errors ---------------------------------------------------------------------------

DECLARED = """
func.func private @ext(tensor<4xf32>) -> tensor<4xf32>
func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @ext(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}"""
UPSTREAM = """
#csr = #sparse_tensor.encoding<{map = (i, j) -> (i : dense, j : compressed)}>
func.func @f(%a: tensor<4x4xf32, #csr>) -> tensor<4x4xf32, #csr> { return %a : tensor<4x4xf32, #csr> }"""


@pytest.mark.parametrize(
    "program, options, error, words",
    [
        (3, {}, pith.UnsupportedError, "cannot compile a int"),
        ("garbage", {}, pith.IRError, "custom op 'garbage' is unknown"),
        ("module {}", {}, pith.IRError, "one public function, found none"),
        ("func.func private @f()", {}, pith.IRError, "one public function, found none"),
        (DECLARED, {}, pith.IRError, "'ext' is declared and not defined"),
        (UPSTREAM, {}, pith.IRError, r"argument a has upstream's encoding(.|\n)*#pith\.format"),
        ("llvm.func @f() { llvm.return }", {}, pith.IRError, r"above the llvm level(.|\n)*--emit=asm"),
        ("/no/such/file.mlir", {}, pith.Error, "No such file"),
        (product(HSS_FORMAT), {"path": "fast"}, pith.UnsupportedError, "auto, sparse, sparsifier, loops"),
        (product(HSS_FORMAT), {"target": "tpu"}, pith.UnsupportedError, "unknown target 'tpu'"),
        (product(HSS_FORMAT), {"target": "avx2"}, pith.UnsupportedError, "did you mean cpu:avx2"),
        (product(HSS_FORMAT), {"target": ["sm_80", "sm_90"]}, pith.ArgumentError, r"got 2 of them(.|\n)*pith\.save"),
        (product(HSS_FORMAT), {"target": 90}, pith.ArgumentError, "expects the name of one target"),
        (product(HSS_FORMAT), {"target": None}, pith.ArgumentError, "expects the name of one target"),
        (product(HSS_FORMAT), {"args": (1,)}, pith.UnsupportedError, "do not apply to MLIR"),
        (torch.nn.Linear(2, 2), {}, pith.Error, "example arguments"),
        (product(HSS_FORMAT).replace("6x5", "7x5"), {}, pith.IRError, "inferred"),
    ],
)
def test_programs_that_do_not_compile(program, options, error, words):
    with pytest.raises(error, match=words) as caught:
        pith.compile(program, **options)
    assert isinstance(caught.value, pith.Error)


def test_arguments_are_named_as_in_the_text(tmp_path):
    """``pith.name`` first, then what the text says; in saved kernels, too."""
    text = """func.func @f(%weights: tensor<?xf32>,
        %x: tensor<?xf32> {pith.name = "tokens"}, %0: tensor<?xf32>) -> tensor<?xf32> { return %x : tensor<?xf32> }"""
    for target in ("cpu", "sm_90"):
        k = pith.compile(text, target=target)
        assert "f(weights, tokens, arg2)" in repr(k)
    pith.compile(text).save(tmp_path / "k.pith")
    assert repr(pith.load(tmp_path / "k.pith")) == "<pith kernel f(weights, tokens, arg2)>"


def test_calls_that_do_not_fit():
    k = pith.compile(product(HSS_FORMAT))
    stored, x, init, _ = arguments(HSS_FORMAT)
    dense = stored.to_dense()
    for args, error, words in (
        ((stored, x), pith.ArgumentError, r"3 arguments \(a0, a1, init\), got 2"),
        ((dense, x, init), pith.FormatError, "'a0'.*SparseTensor.*ndarray"),
        ((stored, stored, init), pith.FormatError, "'a1'.*dense array"),
        ((pith.compress(dense, "csr"), x, init), pith.FormatError, "'a0'.*expects the format"),
        ((stored.to(stored.format.with_widths(nm=8)), x, init), pith.FormatError, "'a0'.*nm coordinates of .*, got 8"),
        ((pith.compress(dense[:5], HSS_FORMAT), x, init), pith.ShapeError, "'a0': expects shape 6x16, got 5x16"),
        ((stored, x[:15], init), pith.ShapeError, r"'a1'.*got shape \(15, 5\)"),
        ((stored, x.astype(np.float64), init), pith.DTypeError, "'a1'.*float64"),
        ((stored.astype(np.float64), x, init), pith.DTypeError, "'a0'.*float64"),
        ((stored, None, init), pith.ArgumentError, "'a1'.*NoneType"),
    ):
        with pytest.raises(error, match=words) as caught:
            k(*args)
        assert isinstance(caught.value, pith.Error)


def test_below_the_level_pith_sparse_tensors_are_refused_with_what_to_pass():
    k = pith.compile(product(HSS_FORMAT))
    stored, x, init, _ = arguments(HSS_FORMAT)
    with pytest.raises(pith.ArgumentError, match="got 3") as e:
        pith.compile(k.ir("linalg"))(stored, x, init)
    assert "*A.buffers" in e.value.hint


def test_kernels_are_saved_not_pickled():
    k = pith.compile(product(HSS_FORMAT))
    with pytest.raises(pith.UnsupportedError, match="not pickled") as e:
        pickle.dumps(k)
    assert "pith.load" in e.value.hint


# -- PyTorch in -----------------------------------------------------------------------


class FeedForward(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(16, 24)
        self.down = torch.nn.Linear(24, 16)

    def forward(self, x):
        return self.down(torch.nn.functional.gelu(self.up(x)))


def test_modules_with_sparse_parameters():
    module = FeedForward().eval()
    x = torch.randn(3, 16)
    fmt = "C1(1:2)->C0(2:4)"
    with torch.no_grad():
        module.up.weight.copy_(pith.prune(module.up.weight, fmt))
        k = pith.compile(module, (x,), sparsity={"up.weight": fmt}, path="sparse")
        check(k(x).numpy(), module(x).double().numpy(), "f32")
    assert "panel" in k.explain()


def test_explain_names_the_weights_of_a_module():
    model = FeedForward().eval()
    for layer in (model.up, model.down):
        layer.weight.data = pith.prune(layer.weight.data, "C0(2:4)")
    told = pith.compile(model, (torch.randn(3, 16),), sparsity={"*.weight": "C0(2:4)"}, path="sparse").explain()
    assert "operand up.weight: 24x16xf32" in told and "operand down.weight: 16x24xf32" in told
    assert told.count("from " + __file__) == 2 and "of ir('pith')" not in told  # lines of FeedForward.forward


@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr(4x4)", "masked(4)", "C1(*)->C0(2:4)"])
def test_explain_predicts_from_the_values_of_weights(fmt):
    model, x = FeedForward().eval(), torch.randn(3, 16)
    for layer in (model.up, model.down):
        layer.weight.data = torch.zeros_like(layer.weight)
        layer.weight.data[:4, :2] = 1.0  # 8 of 384 elements
    told = pith.compile(model, (x,), sparsity={"up.weight": fmt}, path="sparse").explain()
    assert f"density {16 / 384 if fmt == 'bsr(4x4)' else 8 / 384:.1%} of the elements are stored" in told
    assert len(re.findall(r"(?:predicted|measured) at N = 3: [\d.]+ \w?s, dense [\d.]+ ", told)) == 1
    rows = {"x": {0: torch.export.Dim("rows")}}
    told = pith.compile(model, (x,), sparsity={"up.weight": fmt}, path="sparse", dynamic_shapes=rows).explain()
    assert re.findall(r" at N = (\d+)", told) == ["1", "32", "512"]


def test_a_parameter_that_breaks_its_format_is_named():
    with pytest.raises(pith.FormatError, match=r"^up\.weight: .*\n.*prune"):
        pith.compile(FeedForward(), (torch.randn(3, 16),), sparsity={"up.weight": "C0(2:4)"})


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_functions_with_sparse_arguments():
    """A torch CSR argument; other patterns and other numbers of elements run the same kernel."""
    x = torch.randn(16, 3)
    dense = torch.randn(5, 16)
    k = pith.compile(lambda s, y: s @ y, (dense.to_sparse_csr(), x))
    compiled = kernel_cache().stats.compiled
    for density in (0.0, 0.3, 1.0):
        s = dense * (torch.rand(5, 16) < density)
        check(k(s.to_sparse_csr(), x).numpy(), (s.double() @ x.double()).numpy(), "f32")
    assert kernel_cache().stats.compiled == compiled


# -- the kernel cache -----------------------------------------------------------------

_CHILD = textwrap.dedent("""
    import sys
    import numpy as np, pith
    from pith.runtime import kernel_cache
    a = pith.compress(np.eye(8, dtype=np.float32), "C0(2:4)")
    out = pith.matmul(a, np.arange(16, dtype=np.float32).reshape(8, 2))
    assert out.tolist() == np.arange(16).reshape(8, 2).tolist()
    s = kernel_cache().stats
    print(s.compiled, s.disk_hits, s.rejected, "torch_mlir" in sys.modules, "torch" in sys.modules)
""")


def test_the_disk_cache_needs_no_compiler_and_mends_itself(tmp_path):
    def run() -> str:
        environment = {**os.environ, "PITH_CACHE_DIR": str(tmp_path), "PITH_CACHE": "1"}
        return subprocess.run(
            [sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run() == "1 0 0 True False"
    assert run() == "0 1 0 False False"
    (entry,) = tmp_path.rglob("*.kernel")
    data = entry.read_bytes()
    entry.write_bytes(data[: len(data) // 2])
    assert run() == "1 0 1 True False"
    assert run() == "0 1 0 False False"


def test_threads_that_compile_the_same_program_build_it_once(tmp_path, monkeypatch):
    from pith.compiler import kernel

    cache = KernelCache(tmp_path)
    monkeypatch.setattr(kernel, "kernel_cache", lambda: cache)
    stored, x, init, ref = arguments(HSS_FORMAT)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(pith.compile(product(HSS_FORMAT))(stored, x, init)))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert cache.stats.compiled == 1
    assert len(results) == 4
    for out in results:
        check(out, ref, "f32")


# -- approximations -------------------------------------------------------------------

_SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-39, 3e38, -3e38], np.float32)


@pytest.mark.parametrize("name, function", [("exp", np.exp), ("erf", erf), ("tanh", np.tanh)])
def test_approximations_of_f32(name, function):
    """Relative error below 5e-7 over everything with a normal result; limits, zeros and NaN as they are."""
    k = pith.compile(f"""func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {{
      %y = math.{name} %x : tensor<?xf32>
      return %y : tensor<?xf32>
    }}""")
    assert "math." not in k.ir("vector").replace("math.fma", "").replace("math.roundeven", "")
    tiny = np.logspace(-45, 2, 20_000)
    x = np.concatenate([np.linspace(-105, 90, 200_000), tiny, -tiny]).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        ref = function(wide(x))
        representable = np.abs(ref) <= np.finfo(np.float32).max
        normal = np.abs(ref) >= np.finfo(np.float32).tiny
        special = function(wide(_SPECIAL))
    out = k(x).astype(np.float64)
    both = normal & representable
    assert np.max(np.abs(out[both] - ref[both]) / np.abs(ref[both])) < 5e-7
    assert np.max(np.abs(out[~normal] - ref[~normal]), initial=0) < np.finfo(np.float32).tiny
    assert np.isinf(out[~representable]).all()
    got = k(_SPECIAL)
    np.testing.assert_allclose(got[:5], special[:5], rtol=5e-7)
    np.testing.assert_array_equal(np.signbit(got[1:]), np.signbit(special[1:]))


@pytest.mark.parametrize("element, tolerance", [("f16", 1e-3), ("bf16", 1e-2), ("f64", 1e-14)])
def test_other_floats_use_the_library(element, tolerance):
    from cpu_programs import DTYPES

    x = np.linspace(-2, 2, 101).astype(DTYPES[element])
    k = pith.compile(f"""func.func @f(%x: tensor<?x{element}>) -> tensor<?x{element}> {{
      %y = math.tanh %x : tensor<?x{element}>
      return %y : tensor<?x{element}>
    }}""")
    np.testing.assert_allclose(wide(k(x)), np.tanh(wide(x)), rtol=0, atol=tolerance)


def test_errors_of_modules_name_inputs_and_parameters():
    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = torch.nn.Linear(8, 4)

        def forward(self, hidden_states):
            return self.dense(hidden_states)

    k = pith.compile(Layer().eval(), (torch.ones(2, 8),))
    with pytest.raises(pith.DeviceError, match="argument 'hidden_states'"):
        k(torch.ones(2, 8, device="meta"))
    assert [p.name for p in k.kernel.params] == ["dense.weight", "dense.bias", "hidden_states"]
