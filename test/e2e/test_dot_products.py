"""Products on tiles in vectors, by dot instructions: emulated, and ``vpmaddwd`` where there is AVX2, against float64.

``test_amx_products.py`` says how operands are drawn and what is an error.
"""

from __future__ import annotations

import re

import numpy as np
import pith
import pytest
from pith.formats.parse import parse_format
from pith.lowering.isa import ISAS
from pith.runtime.cpu import cpu_features
from test_amx_products import ORIENTATIONS, TOLERANCE, check, draw, draw_sparse, product, shapes

#: Instruction set -> element type of its dot products, and the op that they are made of.
UNITS = {
    "avx512-bf16": ("bf16", "x86.avx512.dot"),
    "avx512-vnni": ("i8", "pith.dot"),
    "avx2-vnni": ("i8", "pith.dot"),
    "avx2-vnni-int8": ("i8", "x86.avx.dot.i8"),
    "avx2": ("i8", "pith.dot"),
}

#: The instructions themselves where the processor has them, else emulated.
TARGETS = [name if ISAS[name].runs_on(cpu_features()) else f"emulate:{name}" for name in UNITS]

#: Formats that dot instructions are taken for: what is stored is at least the share of all that they are faster by.
ANYWHERE = ("dense", "C1(4:4)->C0(4:4)", "nm(2:4)", "nm(2:4) pad")

#: Those whose blocks are read as they are stored, and those that only an advantage of 4 is enough for.
BLOCKS = ("bsr(16x64)", "bsr(4x4)", "bsr(16x64) pad")
VNNI = ("nm(1:4)", "V(16)C0(2:4)")


def isa_of(target):
    return target.removeprefix("emulate:")


def formats(target):
    """The formats that an instruction set has dot products for."""
    isa = ISAS[isa_of(target)]
    widened = not (isa.vnni or isa.avx512_bf16)
    return [*ANYWHERE, *(() if widened else BLOCKS), *(VNNI if UNITS[isa.name][0] == "i8" and isa.vnni else ())]


@pytest.mark.parametrize(("target", "text"), [(t, f) for t in TARGETS for f in formats(t)])
def test_random_shapes(target, text):
    t, op = UNITS[isa_of(target)]
    rng = np.random.default_rng(len(text))
    for shape in shapes(rng, text, 2):
        for cols in (1, int(rng.integers(2, 70))):
            kernel = check(rng, target, t, text, shape, cols)
    assert op in kernel.ir("vector") and _says_so(kernel.explain())


def _says_so(explained):
    """Dots on dense tiles; of stored elements in pairs, panels are what is packed (``test_pairs.py``)."""
    return "dot instructions" in explained or "] panel: " in explained


@pytest.mark.parametrize(("target", "text"), list(zip(TARGETS, ["dense", "nm(2:4)", "nm(2:4)", "dense", "dense"])))
def test_orientations_and_accumulation(target, text):
    rng = np.random.default_rng(5)
    for shape in shapes(rng, text, 1):
        options = dict.fromkeys(ORIENTATIONS, True)
        check(rng, target, UNITS[isa_of(target)][0], text, shape, 37, **options)
        check(rng, target, UNITS[isa_of(target)][0], text, shape, 16, accumulate=True, **options)


@pytest.mark.parametrize("target", [t for t in TARGETS if UNITS[isa_of(t)][0] == "i8"])
def test_extreme_bytes_do_not_saturate(target):
    """Sums of products of -128 and 127, which ``vpmaddubsw`` would cut off at 16 bits."""
    packed = pith.compress(np.full((9, 130), -128, np.int8), parse_format("dense"))
    for value in (-128, 127):
        x, out = np.full((130, 33), value, np.int8), np.full((9, 33), 77, np.int32)
        product(target, packed.format, "i8").native(*packed.buffers, *packed.shape, x, out)
        np.testing.assert_array_equal(out, -128 * value * 130)


@pytest.mark.parametrize("text", ["nm(2:4)", "bsr(4x4)", "bsr(16x64) pad"])
def test_unstored_elements_do_not_meet_infinities(text):
    rng = np.random.default_rng(9)
    (shape,) = shapes(rng, text, 1)
    dense, packed = draw_sparse(rng, "bf16", text, shape)
    x = draw(rng, "bf16", (shape[1], 21))
    x[-1, 20] = np.inf
    out = np.full((shape[0], 21), 77, np.float32)
    product("emulate:avx512-bf16", packed.format, "bf16").native(*packed.buffers, *packed.shape, x, out)
    ones = [*packed.buffers[:-1], np.ones(len(packed.values), np.float32)]
    stored = pith.SparseTensor(packed.shape, packed.format, tuple(ones)).to_dense()[:, -1] != 0
    np.testing.assert_array_equal(np.isfinite(out[:, 20]), ~stored)
    wanted = dense.astype(np.float64) @ x[:, :20].astype(np.float64)
    assert np.linalg.norm(out[:, :20] - wanted) <= TOLERANCE * np.linalg.norm(wanted)


@pytest.mark.parametrize("target", TARGETS[1::3])
def test_many_tasks(target):
    """More rows and columns than one task has, in threads."""
    rng = np.random.default_rng(6)
    check(rng, target, UNITS[isa_of(target)][0], "nm(2:4)", (208, 192), 299)


@pytest.mark.parametrize("target", TARGETS[::2])
def test_empty_matrices(target):
    rng, t = np.random.default_rng(7), UNITS[isa_of(target)][0]
    for shape, cols in (((0, 64), 3), ((16, 64), 0), ((16, 0), 5)):
        check(rng, target, t, "dense", shape, cols)


@pytest.mark.parametrize("seed", range(4))
def test_random_groups(seed):
    """Groups that divide no tile, whichever body takes them."""
    rng = np.random.default_rng([seed, 31])
    h = int(rng.integers(2, 9))
    g, shape = int(rng.integers(1, h + 1)), (int(rng.integers(1, 90)), h * int(rng.integers(1, 40)))
    for target in (TARGETS[0], TARGETS[-1]):
        check(rng, target, UNITS[isa_of(target)][0], f"nm({g}:{h})", shape, int(rng.integers(2, 50)))


@pytest.mark.parametrize("text", ["csr", "nm(1:8)", "csc"])
def test_what_is_too_sparse_takes_other_paths(text):
    kernel = product("emulate:avx512-bf16", parse_format(text).to_format(), "bf16")
    assert "x86." not in kernel.ir("vector")


#: Instruction set -> what its loops are made of, and dots with loads of vectors and dwords per trip.
CODE = {
    "avx512-bf16": ("vdpbf16ps", "zmm", 16, 10),
    "avx512-vnni": ("vpdpbusd", "zmm", 16, 10),
    "avx2-vnni": ("vpdpbusd", "ymm", 16, 12),
    "avx2-vnni-int8": ("vpdpbssd", "ymm", 16, 12),
    "avx2": ("vpmaddwd", "ymm", 16, 12),
}


@pytest.mark.parametrize(("isa", "text"), [*((isa, "dense") for isa in CODE), ("avx512-bf16", "bsr(16x64)")])
def test_sums_stay_in_registers(isa, text):
    """The innermost loops as they are assembled: dots, the loads they need, and nothing on the stack."""
    instruction, register, dots, loads = CODE[isa]
    loops = [loop for loop in innermost(assembly(isa, text)) if sum(instruction in line for line in loop) == dots]
    wide = [loop for loop in loops if not any("(" in line for line in loop if instruction in line)]
    wide = [loop for loop in wide if sum(bool(LOAD.search(line)) for line in loop) >= loads]
    assert wide, "no loop over the positions of a tile"
    for loop in wide:
        assert all(register in line for line in loop if instruction in line)
        assert sum(bool(LOAD.search(line)) for line in loop) == loads
        assert not any(STORE.search(line) for line in loop), "sums are spilled"


LOAD = re.compile(r"\tv(?:mov|broadcast|pbroadcast)\w*\s+[^%]*\(")
STORE = re.compile(r"\tvmov\w+\s+%[xyz]mm\d+, [^%]*\(")


def assembly(isa, text):
    """Assembly for a processor with an instruction set."""
    from pith._mlir import ir
    from pith.compiler.build import parse
    from pith.compiler.emit import emit
    from pith.lowering.cpu import run_stage, stages

    packed = pith.compress(np.zeros((64, 64), np.int8), parse_format(text))
    module = parse(product("emulate:amx", packed.format, UNITS[isa][0]).source, isa)
    with module.context, ir.Location.unknown():
        for stage in stages("auto"):
            run_stage(module, stage)
        return emit(module, "asm").splitlines()


def innermost(lines):
    """The lines of every loop without another loop in it."""
    labels = {line.split(":")[0]: i for i, line in enumerate(lines) if line.startswith(".L")}
    jumps = [(labels.get(line.split()[1], i), i) for i, line in enumerate(lines) if re.match(r"\tj\w+\t\.L", line)]
    back = [(start, end) for start, end in jumps if start < end]
    return [lines[s : e + 1] for s, e in back if not any(s < start and end < e for start, end in back)]


DENSE = """
func.func @f(%a: tensor<{b}?x83x{t}>, %x: tensor<{b}83x?x{t}>, %y: tensor<{b}?x?x{acc}>) -> tensor<{b}?x?x{acc}> {{
  %r = linalg.{op} ins(%a, %x : tensor<{b}?x83x{t}>, tensor<{b}83x?x{t}>) outs(%y : tensor<{b}?x?x{acc}>)
      -> tensor<{b}?x?x{acc}>
  return %r : tensor<{b}?x?x{acc}>
}}
"""


@pytest.mark.parametrize(
    ("target", "batch"), [(t, b) for t in ("emulate:amx", *TARGETS) for b in ("", "3x") if "vnni" not in t]
)
def test_dense_operands(target, batch):
    """Products without formats, one or a batch, added to what is there."""
    t = UNITS.get(isa_of(target), ("i8", ""))[0]
    acc, op = {"bf16": "f32", "i8": "i32"}[t], "batch_matmul" if batch else "matmul"
    kernel = pith.compile(
        DENSE.format(b=batch, t=t, acc=acc, op=op), target=target if ":" in target else f"cpu:{target}"
    )
    rng, outer = np.random.default_rng(12), (3,) if batch else ()
    for rows, cols in ((1, 5), (70, 45)):
        a, x = draw(rng, t, (*outer, rows, 83)), draw(rng, t, (*outer, 83, cols))
        y = draw(rng, t, (*outer, rows, cols)).astype({"f32": np.float32, "i32": np.int32}[acc])
        wanted = a.astype(np.float64) @ x.astype(np.float64) + y
        got = kernel(a, x, y)
        assert np.linalg.norm(got - wanted) <= (TOLERANCE if t == "bf16" else 0) * np.linalg.norm(wanted)
    assert any(name in kernel.ir("vector") for name in ("tile_mul", "avx512.dot", "pith.dot"))
