"""Targets validate, hash stably, and say which names were meant."""

import dataclasses
import json

import pytest
from pith.errors import Error, UnsupportedError
from pith.lowering import isa
from pith.lowering.targets import CHIPS, ISAS, CpuTarget, GpuTarget, host_isa, parse_isa, parse_target

AVX2 = frozenset({"sse2", "avx2", "fma", "f16c"})


@pytest.fixture
def avx2_host(monkeypatch):
    """A processor with AVX2 and nothing more."""
    monkeypatch.setattr(isa, "cpu_features", lambda: AVX2)
    monkeypatch.delenv("PITH_ISA", raising=False)


@pytest.mark.parametrize("text", ["cpu", "cpu:avx2", "emulate:amx", "emulate:sm_80", *CHIPS])
def test_parse_is_the_inverse_of_name(text):
    assert parse_target(text).name == text


MEANT = [("sm90", "sm_90"), ("sm_81", "sm_80"), ("CPU", "cpu"), ("emulate:sm90", "emulate:sm_90")]


@pytest.mark.parametrize(
    ("text", "close"), [*MEANT, ("emulate:am", "emulate:amx"), ("gpu", "sm_90"), ("cuda", "sm_90")]
)
def test_unknown_target_names_close_matches(text, close):
    with pytest.raises(UnsupportedError) as e:
        parse_target(text)
    assert repr(text) in str(e.value) and close in e.value.hint


def test_chips_without_m16n8k16_are_refused():
    with pytest.raises(Error, match="unknown chip 'sm_75'"):
        GpuTarget("sm_75")


@pytest.mark.parametrize("text", ["avx513", "", "emulate:", "emulate:host", "emulate:sm_90", "AVX2"])
def test_unknown_instruction_sets_are_refused(text):
    with pytest.raises(UnsupportedError, match=f"unknown instruction set '{text}'"):
        CpuTarget(text)


def test_larger_instruction_sets_stand_later():
    names = list(ISAS)
    for larger in names:
        smaller = [n for n in names if set(ISAS[n].features) < set(ISAS[larger].features)]
        assert all(names.index(n) < names.index(larger) for n in smaller)
        assert all(getattr(ISAS[larger], f.name) >= getattr(ISAS[n], f.name) for n in smaller for f in _offers())


def _offers():
    """Fields of what instructions can do; the others name a machine, or say what its cores are fast at."""
    names = ("name", "llvm_cpu", "features", "emulated")
    cores = ("multiply_adds", "bf16_gain", "shuffles_beside_dots", "gathers", "near_level")
    return [f for f in dataclasses.fields(isa.Isa) if f.name not in names + cores]


def test_host_is_the_largest_instruction_set_of_the_processor(avx2_host, monkeypatch):
    assert host_isa() is ISAS["avx2"] is parse_isa("host")
    assert parse_target("cpu").features is CpuTarget().features is ISAS["avx2"]
    monkeypatch.setattr(isa, "cpu_features", lambda: frozenset())
    assert host_isa() is ISAS["generic"]
    monkeypatch.setattr(isa, "cpu_features", lambda: AVX2 | set(ISAS["amx"].features) | {"avx_vnni"})
    assert host_isa() is ISAS["amx"]


def test_environment_makes_the_host_smaller(avx2_host, monkeypatch):
    monkeypatch.setenv("PITH_ISA", "sse")
    assert host_isa() is ISAS["sse"]
    monkeypatch.setenv("PITH_ISA", "emulate:amx")
    assert host_isa().amx_int8 and host_isa().emulated
    monkeypatch.setenv("PITH_ISA", "amx")
    with pytest.raises(UnsupportedError, match=r"(?s)PITH_ISA.*lacks amx_bf16.*PITH_ISA=emulate:amx") as e:
        host_isa()
    assert isinstance(e.value, Error)
    monkeypatch.setenv("PITH_ISA", "amd")
    with pytest.raises(UnsupportedError, match="did you mean"):
        host_isa()


def test_emulation_offers_what_the_real_thing_does():
    emulated, real = parse_isa("emulate:amx"), parse_isa("amx")
    assert dataclasses.replace(emulated, name="amx", emulated=False) == real
    assert emulated.runs_on(()) and not real.runs_on(AVX2)


def test_digest_depends_on_every_field_and_nothing_else():
    base = GpuTarget("sm_90")
    assert base.digest == GpuTarget("sm_90").digest == "085d1cd10381f2ff"
    assert base.digest != dataclasses.replace(base, tf32=True).digest
    assert len({parse_target(t).digest for t in ("cpu", *CHIPS)}) == 1 + len(CHIPS)


def test_json_round_trip():
    fields = json.loads(GpuTarget("sm_80").to_json())
    assert fields.pop("kind") == "GpuTarget"
    assert GpuTarget(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}) == GpuTarget("sm_80")


def test_targets_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GpuTarget("sm_80").chip = "sm_90"  # type: ignore[misc]
