// Hopper's warpgroups: both operands are read from shared memory, where descriptors say they are.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90a},canonicalize,cse)' --split-input-file | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90a},canonicalize,cse,gpu-to-nvvm)' --split-input-file | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90a},canonicalize,cse,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90},canonicalize,cse)' --split-input-file | filecheck %s --check-prefix=PLAIN

// A gather along k: cp.async brings rows of b, which n is contiguous in, and columns of a.
// CHECK-LABEL: gpu.func @listed_pit_0(
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: nvgpu.device_async_copy
// CHECK: nvvm.wgmma.fence.aligned
// CHECK: nvvm.wgmma.mma_async {{.*}} <m = 64, n = 64, k = 16>, D[<f32>{{.*}}], A[<f16>{{.*}}<row>], B[<f16>{{.*}}<row>] : !llvm.struct<
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// The instructions of one step stay under way; what this thread has copied is for the tensor cores to see.
// CHECK: nvvm.wgmma.wait.group.sync.aligned 1
// CHECK: nvgpu.device_async_wait
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK: nvvm.wgmma.wait.group.sync.aligned 0
// CHECK: llvm.extractvalue
// CHECK: pith.note = "tile 64 x 64 x 64, 4 stages"

// NVVM: llvm.func @listed_pit_0
// NVVM: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16

// PTX: .extern .shared .align 1024 .b8 __dynamic_shmem__0[]
// PTX: .entry listed_pit_0
// PTX: cp.async
// PTX: wgmma.fence.sync.aligned
// PTX: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// PTX: wgmma.commit_group.sync.aligned
// PTX: wgmma.wait_group.sync.aligned 1
// PTX: fence.proxy.async.shared::cta

// PLAIN-NOT: wgmma
// PLAIN: nvgpu.mma.sync

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

func.func @listed(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf32> {bufferization.writable = true}) -> tensor<?x?xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<64x64xf16>, %tb: tensor<64x64xf16>, %tc: tensor<64x64xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<64x64xf16>, tensor<64x64xf16>) outs(%tc : tensor<64x64xf32>) -> tensor<64x64xf32>
    "pith.yield"(%s) : (tensor<64x64xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 64, 64, 64>, micro_tile = array<i64: 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf16>, tensor<?x?xf16>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Bytes along k, of a product whose tile the planner takes: two warpgroups, 256 columns an instruction.
// CHECK-LABEL: gpu.func @bytes_matmul_0(
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK: nvvm.wgmma.mma_async {{.*}} <m = 64, n = 256, k = 32>, D[<s32>{{.*}}], A[<s8>{{.*}}<row>], B[<s8>{{.*}}<col>]
// NVVM: wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8
// PLAIN: nvgpu.mma.sync
func.func @bytes(%a: tensor<4096x4096xi8>, %b: tensor<4096x4096xi8>, %c: tensor<4096x4096xi32> {bufferization.writable = true}) -> tensor<4096x4096xi32> {
  %r = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : tensor<4096x4096xi8>, tensor<4096x4096xi8>) outs(%c : tensor<4096x4096xi32>) -> tensor<4096x4096xi32>
  return %r : tensor<4096x4096xi32>
}
