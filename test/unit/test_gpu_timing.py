"""The clock of CUDA devices against a device that only keeps a log: what is recorded, in which order."""

import contextlib
import pathlib
import sys
import types

import pytest

torch = pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # appended: the root's folders must not shadow installed packages

from bench.gpu import timing  # noqa: E402
from bench.gpu.timing import CudaClock, HostClock, Race, hold  # noqa: E402
from bench.harness import Timing  # noqa: E402


class Device:
    """``torch.cuda`` as far as the clock uses it; time passes when something runs."""

    def __init__(self, refuses_capture=False):
        self.log, self.now, self.refuses = [], 0.0, refuses_capture
        self.capturing = None
        device = self

        class Event:
            def __init__(self, enable_timing=False):
                self.at = None

            def record(self):
                device.log.append("event")
                self.at = device.now

            def synchronize(self):
                device.log.append("wait")

            def elapsed_time(self, end):
                return (end.at - self.at) * 1e3

        class CUDAGraph:
            def replay(self):
                for call in self.calls:
                    call()

        @contextlib.contextmanager
        def graph(made):
            device.capturing = made.calls = []
            try:
                yield
                if device.refuses:
                    raise RuntimeError("operation not permitted\nwhen stream is capturing")
            finally:
                device.capturing = None

        stream = types.SimpleNamespace(wait_stream=lambda other: None)
        self.cuda = types.SimpleNamespace(
            Event=Event, CUDAGraph=CUDAGraph, graph=graph, Stream=lambda: stream, current_stream=lambda: stream,
            stream=lambda s: contextlib.nullcontext(), synchronize=lambda: self.log.append("synchronize"),
        )  # fmt: skip

    def run(self, name, seconds):
        def now():
            self.log.append(name)
            self.now += seconds

        if self.capturing is not None:
            self.capturing.append(now)
        else:
            now()

    def empty(self, size, dtype, device):
        assert device == "cuda"
        return types.SimpleNamespace(zero_=lambda: self.run("flush", 1.0))


def clock(monkeypatch, **options):
    device = Device(**options)
    fake = types.SimpleNamespace(cuda=device.cuda, empty=device.empty, int8=torch.int8)
    monkeypatch.setattr(timing, "torch", fake)
    return device, CudaClock()


def test_a_sample_is_a_replay_between_two_events_after_a_flush(monkeypatch):
    device, made = clock(monkeypatch)
    replay, way = made.capture(lambda: device.run("kernel", 0.25))
    assert way == "graph" and device.log.count("kernel") == 3, "warmed up, captured without running"
    device.log.clear()
    assert made.seconds(replay) == pytest.approx(0.25)
    assert device.log == ["flush", "event", "kernel", "event", "wait"]


def test_what_cannot_be_captured_is_timed_on_a_stream(monkeypatch):
    device, made = clock(monkeypatch, refuses_capture=True)
    call, way = made.capture(lambda: device.run("kernel", 0.25))
    assert way == "stream: cannot be captured, operation not permitted"
    assert made.seconds(call) == pytest.approx(0.25)


def test_contestants_take_turns(monkeypatch):
    device, made = clock(monkeypatch)
    calls = {"a": lambda: device.run("a", 0.1), "b": lambda: device.run("b", 0.4), "c": lambda: device.run("c", 0.2)}
    race = hold(calls, {"a": 1e-3}, made, rounds=3, waiting=("c",))
    ran = [x for x in device.log if x in "abc"][6 + 3 :]  # after warming up, and one untimed sample each
    assert ran == list("abc" + "bca" + "cab")
    assert race.speedup("a", "b") == pytest.approx(4) and race.timings["a"].error == 1e-3
    assert race.ways == {"a": "graph", "b": "graph", "c": "stream: waits for the device"}


def test_rounds_end_when_time_is_up():
    race = hold({"a": lambda: None}, {}, HostClock(), rounds=1000, until=0.0)
    assert len(race.timings["a"].samples) == 3


def test_speedups_are_medians_of_quotients():
    slow, fast = Timing((2.0, 4.0, 60.0), 0.0), Timing((1.0, 2.0, 3.0), 0.0)
    assert Race({"slow": slow, "fast": fast}, {}).speedup("fast", "slow") == 2.0
