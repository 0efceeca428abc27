"""Which function replaces which op."""

from collections.abc import Callable

from pith._mlir import ir

from . import approximate, boxes, copies, ids, matrix, warp, wgmma
from .context import Emulation

#: op name -> function of (emulation, op) that emits its emulation before it and returns what stands for its results.
REPLACEMENTS: dict[str, Callable[[Emulation, ir.Operation], list[ir.Value]]] = {
    "cf.assert": ids.assertion,
    "gpu.thread_id": ids.place,
    "gpu.block_id": ids.place,
    "gpu.block_dim": ids.place,
    "gpu.grid_dim": ids.place,
    "gpu.global_id": ids.global_id,
    "gpu.lane_id": ids.lane_id,
    "gpu.subgroup_id": ids.subgroup_id,
    "gpu.num_subgroups": ids.num_subgroups,
    "gpu.subgroup_size": ids.subgroup_size,
    "gpu.barrier": ids.barrier,
    "gpu.dynamic_shared_memory": ids.dynamic_shared_memory,
    "gpu.shuffle": warp.shuffle,
    "gpu.rotate": warp.rotate,
    "gpu.ballot": warp.ballot,
    "gpu.subgroup_reduce": warp.subgroup_reduce,
    "gpu.all_reduce": warp.all_reduce,
    "nvgpu.ldmatrix": matrix.ldmatrix,
    "nvgpu.mma.sync": matrix.mma_sync,
    "nvgpu.mma.sp.sync": matrix.mma_sp_sync,
    "nvgpu.device_async_copy": copies.async_copy,
    "nvgpu.device_async_create_group": copies.create_group,
    "nvgpu.device_async_wait": copies.wait,
    "nvgpu.mbarrier.init": boxes.init,
    "nvgpu.mbarrier.arrive.expect_tx": boxes.arrive,
    "nvgpu.mbarrier.try_wait.parity": boxes.wait,
    "nvgpu.tma.async.load": boxes.load,
    "nvgpu.tma.prefetch.descriptor": ids.nothing,
    "nvvm.fence.mbarrier.init": boxes.fence,
    "builtin.unrealized_conversion_cast": boxes.same,
    "nvvm.barrier": ids.barrier,
    "nvvm.bar.warp.sync": warp.warp_sync,
    "nvvm.shfl.sync": warp.shfl_sync,
    "nvvm.vote.sync": warp.vote_sync,
    "nvvm.match.sync": warp.match_sync,
    "nvvm.redux.sync": warp.redux_sync,
    "nvvm.memory.barrier": ids.nothing,
    "nvvm.fence.proxy": wgmma.fence_proxy,
    "llvm.extractvalue": wgmma.extract,
    "llvm.inline_asm": wgmma.assembly,
    "nvvm.wgmma.commit.group.sync.aligned": wgmma.commit,
    "nvvm.wgmma.fence.aligned": wgmma.fence,
    "nvvm.wgmma.mma_async": wgmma.mma_async,
    "nvvm.wgmma.wait.group.sync.aligned": wgmma.wait,
    "nvvm.ex2": approximate.exp2,
    "nvvm.log2": approximate.log2,
    **{
        f"nvvm.read.ptx.sreg.{name}": ids.register
        for name in (
            *(f"{group}.{axis}" for group in ("tid", "ctaid", "ntid", "nctaid") for axis in "xyz"),
            *("laneid", "warpid", "nwarpid", "warpsize"),
        )
    },
}
