"""Running pipelines: order, verification, failures, instruments, from the Python API."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import ClassVar

import pytest
from pith import dialect, lowering, passes
from pith._mlir import ir
from pith.errors import FormatError, PassError, PipelineError
from pith.passes.core import Pass, pass_error
from pith.passes.pipeline import Pipeline, UpstreamStep, parse_pipeline, run_pipeline
from pith.passes.pipeline.instruments import Instrument, IRPrinter, Timing, pass_names
from pith.passes.pipeline.reproducer import Reproducer, read_reproducer

FOLDABLE = """
func.func @f() -> i32 {
  %0 = arith.constant 1 : i32
  %1 = arith.constant 2 : i32
  %2 = arith.addi %0, %1 : i32
  return %2 : i32
}
"""


@dataclasses.dataclass(frozen=True)
class MarkPass(Pass):
    """Set a unit attribute on the module."""

    name: ClassVar[str] = "test-mark"
    mark: str = "marked"

    def run(self, module: ir.Module) -> None:
        """Record how many marks were there before."""
        attributes = module.operation.attributes
        attributes[f"pith.{self.mark}"] = ir.StringAttr.get(str(len(list(attributes))))


@dataclasses.dataclass(frozen=True)
class BreakPass(Pass):
    """Fail in one of the ways passes fail."""

    name: ClassVar[str] = "test-break"
    how: str = "diagnostic"

    def run(self, module: ir.Module) -> None:
        """Fail."""
        function = module.body.operations[0]
        if self.how == "diagnostic":
            pass_error(function, "is not wanted", hint="remove it")
        if self.how == "error":
            raise FormatError("no such format", hint="use another")
        if self.how == "mlir":
            ir.Module.parse("garbage")
        function.attributes["function_type"] = ir.TypeAttr.parse("() -> i64")


@pytest.fixture(autouse=True)
def toy_passes(monkeypatch):
    monkeypatch.setitem(passes.PASSES, "test-mark", f"{__name__}:MarkPass")
    monkeypatch.setitem(passes.PASSES, "test-break", f"{__name__}:BreakPass")
    monkeypatch.setitem(lowering.PIPELINES, "test-two", "test-mark{mark=x},func.func(canonicalize),test-mark{mark=y}")
    monkeypatch.setitem(lowering.PIPELINES, "test-nested", "builtin.module(test-two,cse)")
    monkeypatch.setitem(lowering.PIPELINES, "test-loop-a", "cse,test-loop-b")
    monkeypatch.setitem(lowering.PIPELINES, "test-loop-b", "test-loop-a")
    monkeypatch.setitem(lowering.PIPELINES, "test-typo", "cse,test-mrk")


@pytest.fixture
def module():
    context = dialect.make_context()
    return ir.Module.parse(FOLDABLE, context)


def test_both_worlds_run_in_order(module):
    run_pipeline(module, "builtin.module(test-mark{mark=a},func.func(canonicalize),cse,test-mark{mark=b})")
    assert "addi" not in str(module)
    assert {k: str(module.operation.attributes[k]) for k in ("pith.a", "pith.b")} == {"pith.a": '"0"', "pith.b": '"1"'}


def test_consecutive_upstream_passes_share_one_pass_manager():
    pipeline = parse_pipeline("builtin.module(cse,func.func(cse),test-mark,canonicalize)")
    upstream = [step.text for step in pipeline.steps if isinstance(step, UpstreamStep)]
    assert upstream == ["builtin.module(cse,func.func(cse))", "builtin.module(canonicalize)"]
    assert str(pipeline) == "builtin.module(cse,func.func(cse),test-mark,canonicalize)"


def test_named_pipelines_expand_and_nest(module):
    pipeline = parse_pipeline("builtin.module(test-nested)")
    assert str(pipeline) == "builtin.module(test-mark{mark=x},func.func(canonicalize),test-mark{mark=y},cse)"
    pipeline.run(module)
    assert "pith.y" in module.operation.attributes


def test_a_pipeline_of_instances_prints_its_text():
    pipeline = Pipeline.of(MarkPass(), MarkPass(mark="z"))
    assert str(pipeline) == "builtin.module(test-mark,test-mark{mark=z})"
    assert parse_pipeline(str(pipeline)) == pipeline


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("func.func(test-mark)", "pipeline:1:11", "'test-mark' runs on builtin.module, not on 'func.func'"),
        (
            "builtin.module(func.func(cse,test-mark))",
            "pipeline:1:30",
            "pith's pass 'test-mark' cannot be nested under 'func.func': it runs on builtin.module",
        ),
        (
            "builtin.module(test-loop-a)",
            "pipeline 'test-loop-b':1:1",
            "pipeline 'test-loop-a' contains itself: test-loop-a -> test-loop-b -> test-loop-a",
        ),
        ("builtin.module(test-two{x=1})", "pipeline:1:16", "pipeline 'test-two' takes no options"),
        ("builtin.module(test-typo)", "pipeline 'test-typo':1:5", "unknown pass 'test-mrk'"),
        ("builtin.module(cse,canonicalize{x=1})", "pipeline:1:33", "pass 'canonicalize' has no option 'x'"),
        ("any(convert-gpu-to-nvvm{x=1})", "pipeline:1:25", "pass 'convert-gpu-to-nvvm' has no option 'x'"),
        (
            "builtin.module(convert-gpu-to-nvvm)",
            "pipeline:1:16",
            "'convert-gpu-to-nvvm' runs on 'gpu.module', not on 'builtin.module'",
        ),
    ],
)
def test_wrong_pipelines_are_refused_before_anything_runs(text, where, message):
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(text)
    assert caught.value.where == where
    assert caught.value.message.splitlines()[0] == message


def test_close_names_are_suggested():
    with pytest.raises(PipelineError, match="did you mean 'test-mark'"):
        parse_pipeline("builtin.module(test-marc)")


@pytest.mark.parametrize(
    ("how", "told", "hint"),
    [
        ("diagnostic", "'func.func' op is not wanted", "remove it"),
        ("error", "no such format", "use another"),
        ("mlir", "custom op 'garbage' is unknown", None),
        ("invalid", "type of return operand 0 ('i32') doesn't match function result type ('i64')", None),
    ],
)
def test_every_kind_of_failure_is_a_pass_error(module, how, told, hint):
    with pytest.raises(PassError) as caught:
        run_pipeline(module, f"builtin.module(cse,test-break{{how={how}}})")
    assert "pass 'test-break' failed: " in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.hint == hint
    assert str(caught.value).count(told) == 1


def test_a_failing_upstream_pass_reports_its_diagnostics_with_location(capfd):
    context = dialect.make_context()
    context.allow_unregistered_dialects = True
    text = 'func.func @f(%a: tensor<4xf32>) {\n  "x.y"(%a) : (tensor<4xf32>) -> ()\n  return\n}'
    with pytest.raises(PassError, match="-:2:3: error: op was not bufferized") as caught:
        run_pipeline(ir.Module.parse(text, context), "builtin.module(cse,one-shot-bufferize)")
    assert [(d.severity, d.line) for d in caught.value.diagnostics] == [("error", 2)]
    assert capfd.readouterr().err == ""


def test_without_verification_a_broken_module_passes(module):
    run_pipeline(module, "builtin.module(test-break{how=invalid})", verify=False)


class Recorder(Instrument):
    """Writes down what it sees."""

    def __init__(self, granular: bool):
        self.granular = granular
        self.seen: list[str] = []

    def before_pass(self, index, step, module):
        self.seen.append(f"{index} {step.name}")

    def after_failure(self, index, step, module):
        self.seen.append(f"failed {step.name}")

    def end(self):
        self.seen.append("end")


def test_granular_instruments_see_every_upstream_pass(module):
    text = "builtin.module(test-mark,func.func(cse,canonicalize),symbol-dce)"
    coarse, fine = Recorder(False), Recorder(True)
    parse_pipeline(text).run(module, coarse)
    parse_pipeline(text).run(module, fine)
    assert coarse.seen == ["0 test-mark", "1 func.func(cse,canonicalize),symbol-dce", "end"]
    singles = ["0 test-mark", "1 func.func(cse)", "2 func.func(canonicalize)", "3 symbol-dce", "end"]
    assert fine.seen == singles


def test_instruments_hear_of_failures(module):
    recorder = Recorder(False)
    with pytest.raises(PassError):
        parse_pipeline("builtin.module(cse,test-break)").run(module, recorder)
    assert recorder.seen[-1] == "failed test-break"


def test_pass_names_ignore_nesting():
    step = parse_pipeline("builtin.module(func.func(cse,canonicalize{top-down=0}),symbol-dce)").steps[0]
    assert pass_names(step) == ["cse", "canonicalize", "symbol-dce"]


def test_dump_dir_holds_the_ir_after_every_pass(module, tmp_path):
    run_pipeline(module, "builtin.module(test-mark,func.func(canonicalize))", dump_dir=tmp_path)
    folder = tmp_path / "builtin_module_no-symbol-name"
    assert sorted(p.name for p in folder.iterdir()) == ["0_test-mark.mlir", "1_func_func_canonicalize.mlir"]
    assert "addi" in (folder / "0_test-mark.mlir").read_text()
    after = ir.Module.parse((folder / "1_func_func_canonicalize.mlir").read_text(), module.context)
    assert str(after) == str(module)


def test_printing_after_change_skips_passes_that_change_nothing(module, capsys):
    parse_pipeline("builtin.module(cse,canonicalize,cse)").run(module, IRPrinter(after=True, on_change=True))
    assert capsys.readouterr().err.count("IR Dump After") == 1


def test_timing_names_every_pass(module):
    timing = Timing()
    parse_pipeline("builtin.module(cse,test-mark)").run(module, timing)
    report = timing.report()
    assert report.index("  cse\n") < report.index("  test-mark\n") < report.index("Total\n")


def test_a_reproducer_starts_at_the_failing_pass(module, tmp_path):
    path = tmp_path / "repro.mlir"
    pipeline = parse_pipeline("builtin.module(canonicalize,test-break{how=invalid},cse)")
    with pytest.raises(PassError):
        pipeline.run(module, Reproducer(str(path)))
    text = path.read_text()
    again, verify = read_reproducer(text, "repro.mlir")
    assert (again, verify) == ("builtin.module(test-break{how=invalid},cse)", True)
    with pytest.raises(PassError, match="pass 'test-break' failed"):
        run_pipeline(ir.Module.parse(text, module.context), again)


def test_a_reproducer_survives_a_crash_of_the_process(tmp_path):
    path = tmp_path / "repro.mlir"
    code = f"""if True:
        import os
        from pith import dialect
        from pith._mlir import ir
        from pith.passes.core import Pass
        from pith.passes.pipeline import Pipeline
        from pith.passes.pipeline.reproducer import Reproducer
        class Crash(Pass):
            name = "test-crash"
            def run(self, module):
                os._exit(9)
        Pipeline.of(Crash()).run(ir.Module.parse("", dialect.make_context()), Reproducer({str(path)!r}))
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert read_reproducer(path.read_text(), "repro.mlir") == ("builtin.module(test-crash)", True)


def test_a_bug_in_a_pass_keeps_its_type_and_names_the_pass(module, monkeypatch):
    monkeypatch.setattr(MarkPass, "run", lambda self, module: 1 // 0)
    with pytest.raises(ZeroDivisionError) as caught:
        run_pipeline(module, "builtin.module(test-mark{mark=a})")
    assert caught.value.__notes__ == ["in pass 'test-mark{mark=a}'"]


def test_a_failed_module_is_dumped_without_repeating_the_diagnostics(module, capfd):
    with pytest.raises(PassError):
        parse_pipeline("builtin.module(test-break{how=invalid})").run(module, IRPrinter(on_failure=True))
    printed = capfd.readouterr().err
    assert printed.startswith("// -----// IR Dump After test-break Failed //----- //")
    assert "error:" not in printed


def test_a_reproducer_is_removed_when_nothing_fails(module, tmp_path):
    parse_pipeline("builtin.module(cse)").run(module, Reproducer(str(tmp_path / "repro.mlir")))
    assert list(tmp_path.iterdir()) == []


def test_a_reproducer_quotes_the_pipeline():
    text = '{-# external_resources: { mlir_reproducer: { pipeline: "any(x{a=\\"b c\\"})", verify_each: false } } #-}'
    assert read_reproducer(text, "f") == ('any(x{a="b c"})', False)
    with pytest.raises(PipelineError, match="holds no reproducer"):
        read_reproducer("module {}", "f.mlir")
