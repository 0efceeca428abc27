"""CUDA graphs: the launches of a call recorded once, and started again with one driver call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import streams
from .driver import check, driver
from .hardware import using
from .launching import Plan
from .memory import Allocation, DeviceArray
from .program import DeviceProgram


class Graph:
    """A recorded call. :meth:`replay` computes again from what the same arguments hold then.

    Attributes:
        results: where every replay puts its results: one array, a tuple of several, None without any.

    The arguments, the results and temporaries of its own live as long as the graph.
    """

    def __init__(self, plan: Plan, words: list[int], args: Sequence[Any]):
        self._plan, self._arguments = plan, tuple(args)
        self._graph: Any = None
        self._executable: Any = None
        made: list[Any] = []
        with using(plan.device):
            stream = plan.current_stream()
            self._temporaries = Allocation.new(plan.device, plan.temporaries.nbytes, stream)
            try:
                plan.wait_for_producers(stream)
                plan.make_results(words, made, stream)
                plan.place_temporaries(words, self._temporaries.address)
                self._record(words)
                streams.synchronize(stream)  # replays on other streams find the memory allocated
            except BaseException:
                made.clear()  # else the error's traceback would keep them
                self._temporaries.free()
                raise
        self.results = plan.returned(made, args)
        self._outputs = [array for array in (*made, *plan.written(args)) if isinstance(array, DeviceArray)]

    def replay(self, stream: Any = None) -> Any:
        """Start the recorded kernels on ``stream``, by default the current one; returns :attr:`results`.

        Errors: :class:`pith.GpuError` and its subclasses.
        """
        plan = self._plan
        handle = plan.current_stream() if stream is None else streams.handle_of(stream)
        with using(plan.device):
            check(driver().cuGraphLaunch(self._executable, handle), "starting a recorded call")
        for array in self._outputs:
            array.stream = handle
        return self.results

    def _record(self, words: list[int]) -> None:
        d = driver()
        stream = check(d.cuStreamCreate(int(d.CUstream_flags.CU_STREAM_NON_BLOCKING)), "making a stream")
        try:
            # Relaxed: what other threads, or Python's collector, free meanwhile is no part of the capture.
            mode = d.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
            check(d.cuStreamBeginCapture(stream, mode), "beginning to record")
            try:
                self._plan.layout.launch(words, int(stream))
            finally:
                ended = d.cuStreamEndCapture(stream)  # also after an error: the stream would stay in capture
            self._graph = check(ended, "recording the launches")
            self._executable = check(d.cuGraphInstantiate(self._graph, 0), "preparing what was recorded")
        finally:
            d.cuStreamDestroy(stream)

    def __del__(self) -> None:
        try:
            d = driver()
            with using(self._plan.device):
                if self._executable is not None:
                    d.cuGraphExecDestroy(self._executable)
                if self._graph is not None:
                    d.cuGraphDestroy(self._graph)
        except Exception:  # at interpreter exit, or after a kernel failed: the context is gone, and the graph with it
            return


def capture(program: DeviceProgram, args: Sequence[Any]) -> Graph:
    """Record a call of ``program`` with ``args``; nothing runs yet.

    Errors: those of a call.
    """
    args, words, plan = program.prepare(args)
    return Graph(plan, words, args)
