"""Targets validate, hash stably, and say which names were meant."""

import dataclasses
import json

import pytest
from pith.errors import Error, UnsupportedError
from pith.lowering.targets import CHIPS, CpuTarget, GpuTarget, parse_target


@pytest.mark.parametrize("text", ["cpu", *CHIPS])
def test_parse_is_the_inverse_of_name(text):
    assert parse_target(text).name == text


@pytest.mark.parametrize(("text", "close"), [("sm90", "sm_90"), ("sm_81", "sm_80"), ("CPU", "cpu"), ("gpu", "cpu")])
def test_unknown_target_names_close_matches(text, close):
    with pytest.raises(UnsupportedError) as e:
        parse_target(text)
    assert repr(text) in str(e.value) and close in e.value.hint


def test_chips_without_m16n8k16_are_refused():
    with pytest.raises(Error, match="unknown chip 'sm_75'"):
        GpuTarget("sm_75")


def test_vector_width_is_checked():
    with pytest.raises(UnsupportedError, match="got 100"):
        CpuTarget(vector_bits=100)


def test_digest_depends_on_every_field_and_nothing_else():
    base = GpuTarget("sm_90")
    assert base.digest == GpuTarget("sm_90").digest == "9734276b8027a130"
    assert base.digest != dataclasses.replace(base, tile_f16=(32, 32, 32)).digest
    assert len({parse_target(t).digest for t in ("cpu", *CHIPS)}) == 1 + len(CHIPS)


def test_json_round_trip():
    fields = json.loads(GpuTarget("sm_80").to_json())
    assert fields.pop("kind") == "GpuTarget"
    assert GpuTarget(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}) == GpuTarget("sm_80")


def test_targets_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GpuTarget("sm_80").chip = "sm_90"  # type: ignore[misc]
