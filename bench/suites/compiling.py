"""What compiling costs: time to the first result, from scratch and from the cache, and memory."""

from __future__ import annotations

import pathlib
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

from bench.fresh import FORMAT, ProbeFailed, run_probe
from bench.records import Options, Progress, Report, Requirement, Table

Sample = dict[str, Any]

#: Left out of quick runs.
SLOW = ("MiniLM feed-forward block", "MiniLM encoder layer")

NOTES = (
    "Every repetition is a process of its own; medians in ms. `imports` is reported apart and not part of `first`; "
    "`first, CPU` is processor time of all threads, which load on the machine disturbs less.",
    "matmul: the first `pith.matmul` in the process, execution included; `compiler imported`: every module of the "
    "compiler was imported before; `runtime imported`: what runs cached kernels was; `as users see it`: after "
    "`import numpy, pith` alone.",
    f"MiniLM (first layer, feed-forward weights in {FORMAT}, dynamic batch and tokens): `imports` is torch and "
    "transformers; `first` is all of `pith.compile`: torch.export, torch-mlir's import, pith's pipelines, LLVM, "
    "packing of the weights, and (unless `compiler imported`) the imports of these. Results are checked.",
    f"Memory: linear layers in {FORMAT} and ReLU. `peak growth` is the highest resident set while `pith.compile` "
    "ran, less what the process held with the model in memory; the packed weights the kernel keeps are in it. The "
    "compiler was imported and a small kernel compiled before. `peak total` adds the model's own weights.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("compile", "Time and memory of compilation", notes=list(NOTES))
    repeat = 1 if options.quick else 3
    skip = SLOW if options.quick else ()
    with tempfile.TemporaryDirectory(prefix="pith-bench-") as directory:
        root = pathlib.Path(directory)
        times = {
            "import pith": lambda n: run_probe("import_pith"),
            "matmul, compiled, compiler imported": lambda n: run_probe("matmul", cache=root / f"a{n}"),
            "matmul, compiled, as users see it": lambda n: run_probe("matmul_lazy", cache=root / f"b{n}"),
            "matmul, disk cache, runtime imported": lambda n: run_probe("matmul_runtime", cache=root / "b0"),
            "matmul, disk cache, as users see it": lambda n: run_probe("matmul_lazy", cache=root / "b0"),
            "MiniLM feed-forward block": lambda n: run_probe("feed_forward", cache=root / f"c{n}"),
            "MiniLM encoder layer": lambda n: run_probe("encoder_layer", cache=root / f"d{n}"),
            "MiniLM encoder layer, compiler imported": lambda n: run_probe("encoder_layer", "yes", root / f"e{n}"),
        }
        found = {
            name: _samples(name, probe, repeat, report, progress) for name, probe in times.items() if name not in skip
        }
    megabytes = "128" if options.quick else "512"
    memory = _samples(
        f"memory, {megabytes} MiB of weights", lambda n: run_probe("memory", megabytes), 1, report, progress
    )
    report.tables = [_time_table(found), *([_memory_table(memory[0])] if memory else [])]
    report.requirements = _requirements(found, memory)
    return report


def _samples(
    name: str, probe: Callable[[int], Sample], repeat: int, report: Report, progress: Progress
) -> list[Sample]:
    """Repetitions of a probe; none, and a note, when it fails (an extra is missing, say)."""
    samples = []
    for number in range(repeat):
        progress(f"compile: {name}, {number + 1} of {repeat}")
        try:
            samples.append(probe(number))
        except ProbeFailed as error:
            report.notes.append(f"Left out: {error}")
            return []
    report.cases.append({"case": name, "samples": samples})
    return samples


def _median(samples: list[Sample], field: str) -> float | None:
    values = [s[field] for s in samples if field in s]
    return statistics.median(values) if values else None


def _time_table(found: dict[str, list[Sample]]) -> Table:
    fields = ("imports_ms", "first_ms", "cpu_ms")
    rows = []
    for name, samples in found.items():
        medians = (_median(samples, field) for field in fields)
        loaded = ", ".join(samples[0].get("loaded", ())) if samples else ""
        rows.append((name, *("-" if ms is None else f"{ms:.1f}" for ms in medians), loaded or "-"))
    return Table(
        "Time, ms", ("case", "imports", "first", "first, CPU", "loaded of torch, torch_mlir, numpy"), tuple(rows)
    )


def _memory_table(sample: Sample) -> Table:
    weights = sample["weights"]
    rows = [
        (field.replace("_", " "), f"{sample[field] / 2**20:.0f}", f"{sample[field] / weights:.2f}")
        for field in ("weights", "stored", "peak_growth", "left_growth", "peak_total")
    ]
    return Table("Memory of compiling", ("what", "MiB", "x weights"), tuple(rows))


def _requirements(found: dict[str, list[Sample]], memory: list[Sample]) -> list[Requirement]:
    cached = found["matmul, disk cache, runtime imported"]
    loads_compiler = any("torch_mlir" in s["loaded"] for s in cached)
    growth = memory[0]["peak_growth"] / memory[0]["weights"] if memory else None
    layer = _median(found["MiniLM encoder layer, compiler imported"], "first_ms")
    compiled = _median(found["matmul, compiled, compiler imported"], "first_ms")
    return [
        Requirement("import pith", _median(found["import pith"], "imports_ms"), 150, "ms"),
        Requirement("first compile of one matmul kernel", compiled, 250, "ms"),
        Requirement(
            "compile of one kernel variant",
            _median(found["matmul, compiled, compiler imported"], "next_ms"),
            *(150, "ms"),
        ),
        Requirement("the same from the disk cache", _median(cached, "first_ms"), 20, "ms"),
        Requirement("compilers loaded for that", float(loads_compiler) if cached else None, 1, ""),
        Requirement(
            "import + compile of one encoder layer, modules imported", None if layer is None else layer / 1e3, 5, "s"
        ),
        Requirement("peak memory growth of compiling a model, over its weights", growth, 1.2, "x"),
    ]
