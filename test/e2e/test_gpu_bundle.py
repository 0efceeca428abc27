"""Bundles of several targets: made once, run where only NumPy and the bindings of the driver are installed."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import gpu_programs
import numpy as np
import pith
import pytest
from cuda_stand_in import Gpu, standing_in
from pith.cli.main import main
from pith.compiler import bundle
from pith.compiler.container import VERSION, read_container, write_container
from pith.runtime import cuda
from pith.tools.disassembly import GPU
from pith.tools.ptxas import find_ptxas
from scaled_kernels import SOURCE, as_numpy

#: Where the stand-in for the driver is, and the kernels it runs.
FOLDERS = [pathlib.Path(__file__).parents[1] / "unit", pathlib.Path(__file__).parent]

#: Runs a bundle where nothing but NumPy and cuda-bindings can be imported; for a GPU the bindings are the stand-in.
ELSEWHERE = """
import sys
for name in ("torch", "torch_mlir", "llvmlite", "scipy", "ml_dtypes", "platformdirs", "transformers"):
    sys.modules[name] = None
path, x_file, y_file, gpu, *folders = sys.argv[1:]
import numpy as np, pith
def run():
    kernel = pith.load(path)
    x = np.load(x_file)
    if gpu != "none":
        result = kernel(pith.runtime.cuda.to_device(x)).numpy()
    else:
        result = kernel(x)
    np.save(y_file, result)
    return kernel
if gpu == "none":
    print(run())
else:
    sys.path += folders
    from cuda_stand_in import Gpu, standing_in
    from scaled_kernels import as_numpy
    with standing_in(Gpu(capability=(int(gpu[:-1]), int(gpu[-1])))) as driver:
        driver.kernels = as_numpy
        print(run())
    print(len(driver.launched), "launches")
"""


WEIGHT = np.random.default_rng(0).standard_normal((24, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def kernels() -> dict[str, object]:
    return {t: pith.compile(SOURCE, target=t).bind({0: WEIGHT}) for t in ("cpu", "sm_80", "sm_90")}


@pytest.fixture
def saved(kernels, tmp_path: pathlib.Path) -> pathlib.Path:
    pith.save(list(kernels.values()), tmp_path / "scaled.pith")
    return tmp_path / "scaled.pith"


def elsewhere(path: pathlib.Path, x: np.ndarray, gpu: str) -> tuple[np.ndarray, str]:
    x_file, y_file = path.with_name("x.npy"), path.with_name("y.npy")
    np.save(x_file, x)
    command = [sys.executable, "-c", ELSEWHERE, path, x_file, y_file, gpu, *FOLDERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(y_file), done.stdout


def close(out: np.ndarray, x: np.ndarray) -> bool:
    reference = WEIGHT.astype("f8") @ x
    return bool(np.linalg.norm(out - reference) <= 2e-6 * np.linalg.norm(reference))


@pytest.mark.parametrize(("gpu", "target"), [("none", None), ("80", "sm_80"), ("90", "sm_90"), ("120", "sm_90")])
def test_runs_with_numpy_and_the_bindings_alone(saved, gpu, target):
    x = np.random.default_rng(1).standard_normal((16, 7)).astype(np.float32)
    result, said = elsewhere(saved, x, gpu)
    assert close(result, x)
    if target is None:
        assert "<pith kernel scaled" in said
    else:
        assert f"for {target}>" in said and "launches" in said


def test_the_best_target_is_taken(saved):
    assert bundle.targets(saved) == ("cpu", "sm_80", "sm_90")
    wanted = {(8, 0): "sm_80", (8, 9): "sm_80", (9, 0): "sm_90", (10, 0): "sm_90"}
    for capability, target in wanted.items():
        with standing_in(Gpu(capability=capability)):
            assert pith.load(saved).target == target
    with standing_in(Gpu(capability=(7, 5))):
        assert isinstance(pith.load(saved), pith.Kernel)
        assert pith.load(saved, target="sm_90").ir("ptx").count(".target sm_90") == 1
    assert isinstance(pith.load(saved), pith.Kernel), "there is no driver: the processor's"


def test_code_for_one_architecture_is_preferred_there_only(kernels, tmp_path):
    pith.save([pith.compile(SOURCE, target=t).bind({0: WEIGHT}) for t in ("sm_90", "sm_90a")], tmp_path / "k.pith")
    for capability, target in {(9, 0): "sm_90a", (10, 0): "sm_90"}.items():
        with standing_in(Gpu(capability=capability)):
            assert pith.load(tmp_path / "k.pith").target == target


def test_nothing_for_this_machine(kernels, tmp_path):
    pith.save([kernels["sm_90"]], tmp_path / "k.pith")
    with standing_in(Gpu("Old GPU", capability=(8, 0))):
        with pytest.raises(pith.UnsupportedError, match=r"sm_90: does not run on cuda:0 \(Old GPU, sm_80\)"):
            pith.load(tmp_path / "k.pith")
        with pytest.raises(pith.UnsupportedError, match=r"no kernel for 'cpu'\n.*it has: sm_90"):
            pith.load(tmp_path / "k.pith", target="cpu")
    with pytest.raises(pith.UnsupportedError, match="sm_90: there is no CUDA driver"):
        pith.load(tmp_path / "k.pith")


def test_weights_and_source_are_stored_once(kernels, tmp_path):
    sizes = {}
    for count in (1, 2):
        path = tmp_path / f"{count}.pith"
        chosen = [kernels["sm_80"], kernels["sm_90"]][:count]
        pith.save(chosen, path)
        manifest, sections = read_container(path)
        sizes[count] = sum(s.nbytes == WEIGHT.nbytes for s in sections)
        assert all(p["source"] == manifest["programs"][0]["source"] for p in manifest["programs"])
    assert sizes == {1: 1, 2: 1}


def test_sparse_weights_and_patterns_come_back(tmp_path):
    from pith import dialect

    with dialect.make_context():
        hss = gpu_programs.hss_matmul("C1(3:4)->C0(2:4)", (32, 48), element="f16", transposed=True)
        pit = gpu_programs.pit_matmul("m", tile=(16, 16, 8), granularity=2)
    w = pith.prune(np.random.default_rng(0).standard_normal((32, 48)).astype(np.float16), "C1(3:4)->C0(2:4)")
    bound = pith.compile(hss, target="sm_90").bind({0: pith.compress(w, "C1(3:4)->C0(2:4)")})
    bound.save(tmp_path / "hss.pith")
    pith.compile(pit, target="sm_90").save(tmp_path / "pit.pith")
    with standing_in() as driver:
        loaded = pith.load(tmp_path / "hss.pith")
        y = loaded(cuda.to_device(np.ones((5, 48), np.float16)))
        assert y.shape == (5, 32) and loaded.program == bound.program and loaded.params == bound.params
        assert np.array_equal(loaded.bound[0].to_dense(), w)
        a, c = (cuda.to_device(np.ones((9, 9), np.float32)) for _ in range(2))
        pattern = pith.Pattern.from_indices([4, 0], sizes=9, granularity=2)
        assert pith.load(tmp_path / "pit.pith")(pattern, a, a, c).shape == (9, 9)
        assert driver.launched
        with pytest.raises(pith.FormatError, match=r"micro-tiles of \[2\]"):
            pith.load(tmp_path / "pit.pith")(pith.Pattern.from_indices([4], sizes=9), a, a, c)


def test_every_changed_byte_is_found(saved, tmp_path):
    data = saved.read_bytes()
    changed = tmp_path / "changed.pith"
    for position in [*range(64), *np.random.default_rng(0).integers(64, len(data), 100).tolist(), len(data) - 1]:
        copy = bytearray(data)
        copy[position] ^= 0x20
        changed.write_bytes(copy)
        with pytest.raises((pith.FileFormatError, pith.UnsupportedError)):
            pith.load(changed)


@pytest.mark.parametrize("keep", [0, 7, 40, 64, 700, -64, -1])
def test_truncated_files_are_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(pith.FileFormatError):
        pith.load(saved)


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_other_versions_are_refused(saved, version):
    data = bytearray(saved.read_bytes())
    data[8:12] = version.to_bytes(4, "little")
    saved.write_bytes(data)
    with pytest.raises(pith.UnsupportedError, match=f"has version {version}"):
        pith.load(saved)


def _set(programs: list, **values: object) -> None:
    programs[2].update(values)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.pop("programs"),
        lambda m: m.update(programs=[{}]),
        lambda m: _set(m["programs"], kind="pickle"),
        lambda m: _set(m["programs"], ptx=99),
        lambda m: _set(m["programs"], ptx={"section": 99, "bytes": 1}),
        lambda m: _set(m["programs"], ptx={**m["programs"][2]["ptx"], "bytes": 10}),
        lambda m: _set(m["programs"], ptx={"section": 0, "bytes": 10}),
        lambda m: _set(m["programs"], program={"name": "x"}),
        lambda m: _set(m["programs"], params=[{"name": "x"}]),
        lambda m: _set(m["programs"], target=["sm_90"]),
        lambda m: m["programs"][2]["program"]["launches"][0].update(grid=[["import", "os"]] * 3),
        lambda m: m["programs"][2]["program"]["arguments"].pop(),
    ],
)
def test_malformed_manifests_are_refused(saved, tmp_path, spoil):
    """Well-hashed files that some other program made: an error, never a crash or code from the manifest."""
    manifest, sections = read_container(saved)
    spoil(manifest)
    write_container(tmp_path / "spoilt.pith", manifest, sections)
    with standing_in(), pytest.raises((pith.FileFormatError, pith.ArgumentError)):
        pith.load(tmp_path / "spoilt.pith")


def test_files_hold_no_pickle(saved):
    assert b"pickle" not in saved.read_bytes() and b"\x80\x04\x95" not in saved.read_bytes()
    json.loads(json.dumps(read_container(saved)[0]))


def test_bound_arrays_and_arguments_are_on_one_device(kernels):
    with standing_in(Gpu(), Gpu()):
        weight, x = cuda.to_device(WEIGHT, 0), cuda.to_device(np.ones((16, 3), np.float32), 1)
        kernel = pith.compile(SOURCE, target="sm_90").bind({0: weight})
        with pytest.raises(pith.DeviceError, match=r"'x': is on device 1, .*'w' is on device 0"):
            kernel(x)
        assert kernels["sm_90"](x).device.ordinal == 1


def test_kernels_that_do_not_belong_together(kernels, tmp_path):
    other = pith.compile(SOURCE)
    with pytest.raises(pith.ArgumentError, match="sm_90 takes other arguments than the one for cpu"):
        pith.save([other, kernels["sm_90"]], tmp_path / "k.pith")
    with pytest.raises(pith.ArgumentError, match="one kernel per target, got cpu, cpu"):
        pith.save([other, other], tmp_path / "k.pith")
    with pytest.raises(pith.ArgumentError, match="at least one"):
        pith.save([], tmp_path / "k.pith")
    with pytest.raises(pith.ArgumentError, match=r"kernels of pith\.compile, got int"):
        pith.save([3], tmp_path / "k.pith")  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())


# -- the kernel itself ----------------------------------------------------------------------


@pytest.mark.skipif(find_ptxas() is None, reason="ptxas is neither on PATH nor in a wheel")
def test_machine_code_is_used_where_it_runs(kernels, tmp_path):
    assembled = kernels["sm_80"].with_machine_code()
    assert assembled.cubin[:4] == b"\x7fELF"
    assembled.save(tmp_path / "k.pith")
    loaded = pith.load(tmp_path / "k.pith", target="sm_80")
    assert loaded.cubin == assembled.cubin and loaded.ptx == kernels["sm_80"].ptx
    x = np.ones((16, 3), np.float32)
    for capability, tried in {(8, 6): 2, (9, 0): 1}.items():
        with standing_in(Gpu(capability=capability)) as driver:  # it refuses machine code, as a driver that is too old
            pith.load(tmp_path / "k.pith", target="sm_80")(cuda.to_device(x))
            assert driver.launched and driver.calls.count("cuModuleLoadDataEx") == tried
    alone = cuda.DeviceProgram(loaded.program, loaded.params, [loaded.cubin], loaded.bound)
    with standing_in(Gpu(capability=(8, 6))), pytest.raises(pith.GpuArchitectureError, match="loading the kernels"):
        alone([cuda.to_device(x)])
    with standing_in(Gpu(capability=(9, 0))), pytest.raises(pith.GpuArchitectureError, match="machine code for sm_80"):
        alone([cuda.to_device(x)])


def test_levels_and_explanation(kernels):
    k = kernels["sm_90"]
    last = k.launches[-1]
    assert "gpu.launch_func" in k.ir("gpu") and f".visible .entry {last.kernel}" in k.ir("ptx")
    text = k.explain()
    assert f"{last.kernel}(0.values, 1.values, result0)" in text and f"{last.block[0]} threads" in text
    assert "arg1.dim1" in text and (not last.note or last.note in text)
    if find_ptxas():
        assert "registers a thread, no bytes spilled" in text
    with pytest.raises(pith.UnsupportedError, match="no level 'asm'"):
        k.ir("asm")
    if find_ptxas() and GPU.find() is None:
        with pytest.raises(pith.ToolError, match=r"neither nvdisasm nor cuobjdump was found\n.*nvidia-cuda-nvdisasm"):
            k.ir("sass")
    elif find_ptxas():
        assert "EXIT" in k.ir("sass")


def test_levels_of_a_loaded_kernel(saved):
    loaded = pith.load(saved, target="sm_90")
    assert "gpu.func" in loaded.ir("gpu") and "func.func @scaled" in loaded.ir("pith")


def test_wrong_calls(kernels):
    k = kernels["sm_90"]
    with pytest.raises(pith.ArgumentError, match=r"scaled: expects 1 arguments \(x\), got 2"):
        k(1, 2)
    with pytest.raises(pith.NoGpuError, match="there is no CUDA driver"):
        k(np.ones((16, 3), np.float32))
    with standing_in(), pytest.raises(pith.DeviceError, match=r"scaled: argument 'x': expected an array on a GPU"):
        k(np.ones((16, 3), np.float32))


# -- commands -------------------------------------------------------------------------------

MODEL = """
import torch

def build():
    torch.manual_seed(0)
    layer = torch.nn.Linear(16, 8, bias=False).eval()
    return layer, (torch.ones(4, 16),)

def broken():
    return 3

def raising():
    raise RuntimeError("no weights here")
"""

SEVERAL = """
func.func @one(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }
func.func private @helper(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }
func.func @two(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = arith.addf %x, %x : tensor<2xf32>
  return %y : tensor<2xf32>
}
func.func @calls(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = func.call @helper(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}
"""


@pytest.fixture
def work(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("model.py").write_text(MODEL)
    pathlib.Path("f.mlir").write_text(SOURCE)
    np.save("w.npy", WEIGHT)
    np.save("x.npy", np.ones((16, 5), np.float32))
    return tmp_path


@pytest.mark.usefixtures("work")
def test_compile_a_model_for_several_targets(capsys):
    targets = ["--target", "cpu", "--target", "sm_80", "--target", "sm_90"]
    assert main(["compile", "model.py:build", *targets, "-o", "model.pith"]) == 0
    assert bundle.targets("model.pith") == ("cpu", "sm_80", "sm_90")
    np.save("rows.npy", np.ones((4, 16), np.float32))
    assert main(["run", "model.pith", "--input", "rows.npy", "-o", "y.npy"]) == 0
    assert np.load("y.npy").shape == (4, 8)


@pytest.mark.usefixtures("work")
def test_compile_and_run_for_a_gpu(capsys):
    assert main(["compile", "f.mlir", "--target", "cpu", "--target", "sm_90", "-o", "f.pith"]) == 0
    assert main(["run", "f.pith", "-i", "w.npy", "-i", "x.npy", "-o", "cpu.npy"]) == 0
    with standing_in() as driver:
        driver.kernels = as_numpy
        assert main(["run", "f.pith", "-i", "w.npy", "-i", "x.npy", "-o", "gpu.npy"]) == 0
        assert driver.launched
        assert main(["run", "f.pith", "--target", "cpu", "-i", "w.npy", "-i", "x.npy"]) == 0
    assert close(np.load("gpu.npy"), np.ones((16, 5))) and close(np.load("cpu.npy"), np.ones((16, 5)))


@pytest.mark.usefixtures("work")
def test_run_a_program_on_an_emulated_gpu():
    assert main(["run", "f.mlir", "--target", "emulate:sm_90", "-i", "w.npy", "-i", "x.npy", "-o", "y.npy"]) == 0
    assert close(np.load("y.npy"), np.ones((16, 5)))


@pytest.mark.usefixtures("work")
def test_explain_for_a_gpu(capsys):
    assert main(["explain", "f.mlir", "--target", "sm_80"]) == 0
    out = capsys.readouterr().out
    assert "(0.values, 1.values, result0)" in out and "bytes of shared memory" in out


@pytest.mark.usefixtures("work")
def test_explain_a_kernel_file(capsys):
    assert main(["compile", "f.mlir", "--target", "cpu", "--target", "sm_90", "-o", "f.pith"]) == 0
    assert main(["explain", "f.pith"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("kernels for cpu, sm_90\n") and "no op reads a sparse tensor" in out
    assert main(["explain", "f.pith", "--target", "sm_90"]) == 0
    assert "(0.values, 1.values, result0)" in capsys.readouterr().out


def test_emulated_kernels_are_not_saved(tmp_path):
    emulated = pith.compile(SOURCE, target="emulate:sm_90")
    with pytest.raises(pith.UnsupportedError, match="kernels for emulate:sm_90 cannot be saved"):
        emulated.save(tmp_path / "k.pith")
    assert ".target sm_90" in emulated.ir("ptx")


def test_ptx_comes_from_the_cache():
    from pith.runtime.cache import kernel_cache

    first = pith.compile(SOURCE, target="sm_89")
    before = kernel_cache().stats.compiled
    again = pith.compile(SOURCE, target="sm_89")
    assert kernel_cache().stats.compiled == before
    assert (again.ptx, again.program, again.params) == (first.ptx, first.program, first.params)


@pytest.mark.usefixtures("work")
def test_compile_writes_gpu_code():
    assert main(["compile", "f.mlir", "--target", "sm_90", "-o", "f.ptx"]) == 0
    assert ".target sm_90" in pathlib.Path("f.ptx").read_text()
    if find_ptxas():
        assert main(["compile", "f.mlir", "--target", "sm_90", "-o", "f.cubin"]) == 0
        assert pathlib.Path("f.cubin").read_bytes()[:4] == b"\x7fELF"
        assert main(["compile", "f.mlir", "--target", "sm_90", "--cubin", "-o", "f.pith"]) == 0
        assert pith.load("f.pith", target="sm_90").cubin[:4] == b"\x7fELF"


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["model.py:nothing", "-o", "k"], "has no function 'nothing'\n  hint: it defines: build, broken, raising"),
        (["model.py:broken", "-o", "k"], "model.py:broken: returns int\n  hint: return (module, args)"),
        (
            ["model.py:raising", "-o", "k"],
            "model.py:13: raising() raised RuntimeError: no weights here\n  hint: PITH_DEBUG",
        ),
        (["f.mlir", "--target", "sm_90", "--target", "emulate:sm_80", "-o", "k"], "emulate:sm_80 cannot be saved"),
        (["f.mlir", "--target", "cpu", "--target", "sm_9O", "-o", "k"], "unknown target 'sm_9O'"),
        (["f.mlir", "--target", "sm_90", "--path", "loops", "-o", "k"], "--path does not apply to sm_90"),
        (["f.mlir", "-o", "none/k"], "none/k: No such file or directory\n  hint: there is no folder none"),
        (["model.txt", "-o", "k"], "expects a .mlir file or FILE.py:FUNCTION"),
        (["none.py:build", "-o", "k"], "none.py: No such file"),
        (["f.mlir", "--target", "cpu", "--target", "sm_90", "-o", "k.ptx"], ".ptx is of one target, got cpu, sm_90"),
        (["f.mlir", "--target", "cpu", "--target", "sm_90", "--emit", "pith"], "--emit is of one target"),
    ],
)
def test_wrong_commands(argv, text, capsys):
    assert main(["compile", *argv]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.usefixtures("work")
def test_a_function_of_several(capsys):
    pathlib.Path("f.mlir").write_text(SEVERAL)
    np.save("x.npy", np.ones(2, np.float32))
    assert main(["compile", "f.mlir", "--target", "cpu", "--target", "sm_90", "--entry", "two", "-o", "f.pith"]) == 0
    assert pith.load("f.pith", target="cpu").name == pith.load("f.pith", target="sm_90").name == "two"
    assert pith.compile(SEVERAL, target="emulate:sm_90", entry="two")(np.ones(2, np.float32)).tolist() == [2, 2]
    assert main(["run", "f.mlir", "--target", "emulate:sm_90", "--entry", "helper", "-i", "x.npy"]) == 0
    assert main(["explain", "f.mlir", "--target", "sm_90", "--entry", "two"]) == 0
    assert main(["explain", "f.mlir", "--entry", "two"]) == 0
    assert "[1. 1.]\n[0] two_map_0" in capsys.readouterr().out
    for target in ("sm_90", "emulate:sm_90"):
        with pytest.raises(pith.IRError, match="one public function, found one, two, calls"):
            pith.compile(SEVERAL, target=target)
        with pytest.raises(pith.IRError, match="no function named 'three'"):
            pith.compile(SEVERAL, target=target, entry="three")
    assert pith.compile(SEVERAL, target="emulate:sm_90", entry="calls")(np.ones(2, np.float32)).tolist() == [1, 1]
    recursive = SEVERAL.replace(
        "{ return %x : tensor<2xf32> }",
        "{\n  %y = func.call @helper(%x) : (tensor<2xf32>) -> tensor<2xf32>\n  return %y : tensor<2xf32>\n}",
    )
    with pytest.raises(pith.PassError, match=r"\"-\":7:8.*'func.call' op cannot be inlined"):  # the line of the text
        pith.compile(recursive, target="emulate:sm_90", entry="calls")


@pytest.mark.usefixtures("work")
def test_modules_that_python_files_build(capsys):
    np.save("rows.npy", np.ones((4, 16), np.float32))
    assert main(["run", "model.py:build", "-i", "rows.npy", "-o", "cpu.npy"]) == 0
    assert main(["run", "model.py:build", "--target", "emulate:sm_90", "-i", "rows.npy", "-o", "gpu.npy"]) == 0
    np.testing.assert_allclose(np.load("gpu.npy"), np.load("cpu.npy"), rtol=1e-5)
    assert main(["explain", "model.py:build", "--target", "sm_90"]) == 0
    assert "main_matmul_0" in capsys.readouterr().out


@pytest.mark.usefixtures("work")
def test_what_to_do_without_a_gpu(capsys):
    assert main(["compile", "model.py:build", "--target", "sm_80", "--target", "sm_90", "-o", "gpu.pith"]) == 0
    assert main(["run", "gpu.pith"]) == 1
    assert "sm_90, sm_80: there is no CUDA driver" in capsys.readouterr().err
    np.save("rows.npy", np.ones((4, 16), np.float32))
    assert main(["run", "gpu.pith", "--target", "sm_90", "-i", "rows.npy"]) == 1
    assert "compile it for the CPU too" in capsys.readouterr().err
    assert main(["compile", "model.py:build", "--target", "cpu", "--target", "sm_90", "-o", "both.pith"]) == 0
    assert main(["run", "both.pith", "--target", "sm_90", "-i", "rows.npy"]) == 1
    assert "--target cpu runs it on the processor" in capsys.readouterr().err
    assert [p.name for p in pith.load("both.pith", target="sm_90").free] == ["input"]  # as the module calls it


def test_doctor_reports_gpus(capsys):
    with standing_in(Gpu("Stand-in H200", memory_bytes=1 << 37)):
        main(["doctor"])
    out = capsys.readouterr().out
    assert "ok       CUDA driver          serves CUDA 13.0 and older" in out
    assert "ok       GPU 0                Stand-in H200: sm_90, 128.0 GiB, 132 multiprocessors" in out
    main(["doctor"])
    assert "CUDA driver          only runs GPU kernels: " in capsys.readouterr().out
