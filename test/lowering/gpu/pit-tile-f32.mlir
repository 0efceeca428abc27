// pit_tile over a dense f32 matmul, pattern on m: every level, and each level starts where the last stopped.
// RUN: pith-opt %s --convert-pith-to-gpu=target=sm_80 | filecheck %s
// RUN: pith-opt %s --convert-pith-to-gpu=target=sm_80 --canonicalize --cse -o %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=llvm | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefixes=PTX,SM80
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_90 --emit=ptx | filecheck %s --check-prefixes=PTX,SM90

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The count of the list decides which blocks work; it is clamped to the list's length.
// CHECK-LABEL: gpu.module @pit_kernels [#nvvm.target<chip = "sm_80">]
// CHECK: gpu.func @pit_pit_0(%[[LIST:.*]]: memref<?xi32>, %[[A:.*]]: memref<?x?xf32>, %[[B:.*]]: memref<?x?xf32>, %[[C:.*]]: memref<?x?xf32>) kernel
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK: %[[READ:.*]] = memref.load %[[LIST]]
// CHECK: %[[CAST:.*]] = arith.index_castui %[[READ]]
// CHECK: %[[COUNT:.*]] = arith.minui %[[CAST]]
// Blocks that have a tile come first.
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: %[[WORK:.*]] = arith.cmpi ult, %[[BLOCK]]
// CHECK: gpu.thread_id x
// CHECK: scf.if %[[WORK]]
// CHECK: gpu.dynamic_shared_memory
// CHECK: memref.view {{.*}} to memref<4x32x8xf32, #gpu.address_space<workgroup>>
// CHECK: memref.view {{.*}} to memref<4x8x32xf32, #gpu.address_space<workgroup>>
// SRead: rows of A through the list, which each thread reads once.
// CHECK: memref.load %[[LIST]]
// CHECK: nvgpu.device_async_copy %[[A]]
// CHECK: nvgpu.device_async_copy %[[B]]
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: vector.load {{.*}} vector<4xf32>
// CHECK: math.fma
// CHECK: nvgpu.device_async_wait
// SWrite: the same rows of C, plain stores.
// CHECK: gpu.barrier
// CHECK: memref.load %[[LIST]]
// CHECK: vector.load %[[C]]
// CHECK: arith.addf
// CHECK: vector.store {{.*}}, %[[C]]
// CHECK-NOT: atomic
// CHECK: gpu.return

// The grid follows from sizes, not from the count.
// CHECK-LABEL: func.func @pit(
// CHECK-SAME: memref<?xi32> {pith.storage = "0.pattern"}
// CHECK-SAME: memref<?x?xf32> {bufferization.writable = true, pith.storage = "3.values"}
// CHECK-NOT: memref.load
// CHECK: arith.ceildivui
// CHECK: arith.ceildivui
// CHECK: gpu.launch_func @pit_kernels::@pit_pit_0
// CHECK-SAME: dynamic_shared_memory_size

// NVVM: llvm.func @pit_pit_0
// NVVM-SAME: nvvm.kernel
// NVVM: nvvm.read.ptx.sreg.tid.x
// NVVM: nvvm.barrier
// NVVM: llvm.intr.fma
// NVVM: gpu.launch_func

// LLVM: define ptx_kernel void @pit_pit_0
// LLVM: call void @llvm.nvvm.barrier
// LLVM: call float @llvm.fma.f32

// SM80: .target sm_80
// SM90: .target sm_90
// PTX: .extern .shared .align 16 .b8 __dynamic_shmem__0[]
// PTX: .visible .entry pit_pit_0
// PTX: .maxntid 256
// PTX: bar.sync
// PTX: fma.rn.f32
func.func @pit(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32> {bufferization.writable = true}) -> tensor<?x?xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf32>, %tb: tensor<8x32xf32>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x8xf32>, tensor<8x32xf32>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
      tile = array<i64: 32, 32, 8>, micro_tile = array<i64: 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
