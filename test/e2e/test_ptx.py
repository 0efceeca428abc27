"""pith -> PTX: both chips assemble, levels re-enter the pipelines, and the LLVM text step holds. No GPU is needed."""

import gpu_programs
import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.compiler.emit import emit
from pith.errors import PassError, ToolError, UnsupportedError
from pith.lowering import ptx
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import CHIPS, CpuTarget, GpuTarget
from pith.passes.pipeline import run_pipeline
from pith.programs import Program
from pith.tools import ptxas

PROGRAMS = {
    "pit_m_f32": gpu_programs.pit_matmul("m", tile=(64, 64, 16)),
    "pit_n_f32": gpu_programs.pit_matmul("n", tile=(32, 32, 16), granularity=4),
    "pit_k_f32_atomic": gpu_programs.pit_matmul("k", tile=(32, 64, 32), accumulate=True),
    "pit_m_f16": gpu_programs.pit_matmul("m", element="f16", out="f32", tile=(64, 64, 32)),
    "pit_k_f16": gpu_programs.pit_matmul("k", element="f16", out="f16", tile=(32, 32, 64), granularity=16),
    "hss_f32": lambda: gpu_programs.hss_matmul("C1(3:4)->C0(2:4)", (64, 128)),
    "hss_f16": lambda: gpu_programs.hss_matmul("V(16)C1(2:8)->C0(2:4)", (64, 128), element="f16", transposed=True),
    "hss_deep": lambda: gpu_programs.hss_matmul("C2(1:2)->C1(2:3)->C0(5:7)", (30, 84), element="f16", out="f16"),
}


@pytest.fixture(autouse=True)
def context():
    with dialect.make_context(), ir.Location.unknown():
        yield


def program(name):
    source = PROGRAMS[name]
    return ir.Module.parse(source if isinstance(source, str) else source())


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles(name, chip):
    artifact = compile_ptx(program(name), GpuTarget(chip))
    assert f".target {chip}" in artifact.ptx
    if "f16" in name:
        # Two values of every four are all that V(16)C1(2:8)->C0(2:4) stores: sparse tensor cores take those.
        assert ("mma.sp" if name == "hss_f16" else "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32") in artifact.ptx
    assembled = ptxas.assemble(artifact.ptx, chip)
    assert assembled.cubin[:4] == b"\x7fELF"
    kernels = {launch.kernel for launch in artifact.program.launches}
    assert set(assembled.registers) == kernels
    # ptxas (CUDA 13.0) spills up to 16 bytes of some kernels to stay below 80 registers; accumulators never fit there.
    assert max(assembled.spill_bytes.values()) <= 32


@needs_ptxas
@pytest.mark.parametrize("chip", CHIPS)
def test_every_chip_assembles(chip):
    assert ptxas.assemble(compile_ptx(program("pit_m_f16"), GpuTarget(chip)).ptx, chip).registers


def test_every_level_reenters_the_pipelines():
    """Stop at a level, print, parse, go on: the same PTX comes out."""
    artifact = compile_ptx(program("hss_f16"), GpuTarget("sm_90"))
    assert list(artifact.levels) == ["pith", "gpu", "nvvm", "llvm", "ptx"]
    rest = {"pith": "pith-to-nvvm", "gpu": "gpu-to-nvvm", "nvvm": ""}
    for level, pipeline in rest.items():
        module = ir.Module.parse(artifact.levels[level])
        run_pipeline(module, f"builtin.module({pipeline})")
        assert emit(module, "llvm") == artifact.levels["llvm"]
        assert emit(module, "ptx") == emit(module, "asm") == artifact.ptx
        run_pipeline(module, "builtin.module(pith-gpu-module-to-binary)")
        assert emit(ir.Module.parse(str(module)), "ptx") == artifact.ptx


def test_compile_leaves_the_module_alone():
    module = program("pit_m_f32")
    before = str(module)
    compile_ptx(module, GpuTarget("sm_80"))
    assert str(module) == before


def test_program():
    artifact = compile_ptx(program("hss_f32"), GpuTarget("sm_80"))
    described = artifact.program
    (product,) = described.launches  # the zeros that it starts from are in nobody's memory
    assert product.kernel == "hss_matmul_0"
    assert [str(e) for e in product.grid] == ["(ceildiv(arg3.dim1, 32) * 2)", "1", "1"]
    assert product.block == (256, 1, 1)
    # Three stages of 32 x 16 words of the lhs tile and 16 x 32 of the rhs tile.
    assert product.shared_bytes == 3 * 4 * (32 * 16 + 16 * 32)
    operands = [described.operands[i] for i in product.operands]
    assert [(a.name, a.dtype, a.rank) for a in operands] == [
        ("0.coordinates[2]", "i8", 1),
        ("0.coordinates[3]", "i8", 1),
        ("0.values", "f32", 1),
        ("1.values", "f32", 2),
        ("result0", "f32", 2),
    ]
    assert [str(s) for s in described.buffers[0].shape] == ["64", "arg3.dim1"] and described.results == (4,)
    entry = artifact.ptx.split(f".visible .entry {product.kernel}(")[1].split(")")[0]
    assert entry.count(".param") == described.parameters(product)
    assert described.target == "sm_80"


@pytest.mark.parametrize("name", ["pit_m_f16", "hss_deep"])
def test_program_json_round_trip(name):
    described = compile_ptx(program(name), GpuTarget("sm_90")).program
    assert Program.from_json(described.to_json()) == described


def test_grid_holds_partial_micro_tiles():
    """33 elements in micro-tiles of 4 are 9 micro-tiles: 36 positions, 2 tiles of 32."""
    *_, launch = compile_ptx(program("pit_n_f32"), GpuTarget("sm_90")).program.launches
    assert launch.grid[0].evaluate([(), (), (), (5, 33)]) == 2


def test_an_argument_is_written_to_only_where_it_is_writable():
    """The init of a product is the caller's: it is copied, unless the function says that it may change."""
    source = PROGRAMS["pit_m_f32"]
    copying = compile_ptx(program("pit_m_f32"), GpuTarget("sm_90")).program
    assert [launch.kernel for launch in copying.launches] == ["pit_copy_0", "pit_pit_1"]
    writable = source.replace("%c: tensor<?x?xf32>)", "%c: tensor<?x?xf32> {bufferization.writable = true})")
    in_place = compile_ptx(ir.Module.parse(writable), GpuTarget("sm_90")).program
    assert [launch.kernel for launch in in_place.launches] == ["pit_pit_0"]
    assert in_place.results == (3,) and in_place.arguments[3].written and not in_place.buffers


def test_dynamic_shared_memory_becomes_external():
    artifact = compile_ptx(program("pit_m_f32"), GpuTarget("sm_90"))
    assert "@__dynamic_shmem__0 = internal addrspace(3) global [0 x i8] undef" in artifact.levels["llvm"]
    assert "@__dynamic_shmem__0 = external addrspace(3) global [0 x i8]," in ptx.to_llvm22(artifact.levels["llvm"])
    assert ".extern .shared .align 16 .b8 __dynamic_shmem__0[]" in artifact.ptx


#: One function per construct the lowering emits: everything else passes to LLVM 22 unchanged.
CONSTRUCTS = {
    "ranged intrinsic result": "nvvm.read.ptx.sreg.tid.x : i32",
    "barrier": "nvvm.barrier",
    "fma": "llvm.intr.fma(%f, %f, %f) : (f32, f32, f32) -> f32",
    "atomic add": "llvm.atomicrmw fadd %p, %f acq_rel : !llvm.ptr, f32",
    "unsigned minimum": "llvm.intr.umin(%i, %i) : (i64, i64) -> i64",
    "zero extension": "llvm.trunc %i : i64 to i8",
    "half": "llvm.fptrunc %f : f32 to f16",
}


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_construct_passes_to_llvm22(construct):
    op = CONSTRUCTS[construct]
    result = "" if op == "nvvm.barrier" else "%r = "
    module = ir.Module.parse(f"""gpu.module @k {{
      llvm.func @f(%p: !llvm.ptr, %f: f32, %i: i64) attributes {{nvvm.kernel}} {{ {result}{op} llvm.return }}
    }}""")
    text = ptx.compile_ptx_text(emit(module, "llvm"), GpuTarget("sm_80"), opt_level=0)
    assert ".visible .entry f(" in text


def test_attributes_of_a_newer_llvm_on_intrinsics_are_dropped():
    text = """define float @f(float %a) #0 { %r = call float @llvm.sqrt.f32(float %a)  ret float %r }
declare float @llvm.sqrt.f32(float) #1
attributes #0 = { nounwind }
attributes #1 = { not_known_to_llvm22 nounwind }"""
    assert "not_known_to_llvm22" not in ptx.to_llvm22(text)
    assert "attributes #0 = { nounwind }" in ptx.to_llvm22(text)
    assert "sqrt.rn.f32" in ptx.compile_ptx_text(text, GpuTarget("sm_80"))


def test_an_unknown_intrinsic_is_a_tool_error_not_a_crash():
    text = "define void @f() { call void @llvm.nvvm.of.tomorrow()  ret void }\ndeclare void @llvm.nvvm.of.tomorrow() #0"
    with pytest.raises(ToolError, match=r"unknown intrinsic llvm\.nvvm\.of\.tomorrow"):
        ptx.compile_ptx_text(text + "\nattributes #0 = { nounwind }", GpuTarget("sm_80"))


def test_text_llvm22_does_not_parse_is_a_tool_error():
    with pytest.raises(ToolError, match="does not parse"):
        ptx.compile_ptx_text("define void @f() { frobnicate }", GpuTarget("sm_80"))


def test_cpu_has_no_ptx():
    with pytest.raises(UnsupportedError, match="'cpu' has no PTX"):
        compile_ptx(program("pit_m_f32"), CpuTarget())


def test_emit_says_what_is_missing():
    with pytest.raises(UnsupportedError, match="no GPU code"):
        emit(ir.Module.parse("module {}"), "ptx")
    with pytest.raises(UnsupportedError, match="cannot emit 'elf'"):
        emit(ir.Module.parse("module {}"), "elf")
    with pytest.raises(PassError, match=r"holds a 'func\.func'"):
        emit(program("pit_m_f32"), "llvm")


def test_cpu_assembly():
    module = ir.Module.parse("llvm.func @twice(%a: i32) -> i32 { %0 = llvm.add %a, %a : i32 llvm.return %0 : i32 }")
    assert "twice:" in emit(module, "asm")


@needs_ptxas
def test_ptxas_refusal_is_typed():
    with pytest.raises(ToolError, match="ptxas refused") as e:
        ptxas.assemble(".version 7.0\n.target sm_80\n.address_size 64\nnonsense", "sm_80")
    assert "nonsense" in str(e.value)


def test_missing_ptxas_is_typed(monkeypatch):
    monkeypatch.setattr(ptxas, "find_ptxas", lambda: None)
    with pytest.raises(ToolError, match="not found"):
        ptxas.assemble("", "sm_80")
