// pit_tile over a dense f16 matmul with f32 accumulation, pattern on k: tensor cores.
// RUN: pith-opt %s --convert-pith-to-gpu=target=sm_90 | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=llvm | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefixes=PTX,SM90
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 | filecheck %s --check-prefix=BINARY
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefixes=PTX,SM80

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// CHECK: gpu.func @pit_pit_0(%[[LIST:.*]]: memref<?xi32>,
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// Rows of 64 bytes, four stages of both tiles; eight slots of the list's entries.
// CHECK: memref.view {{.*}} to memref<4x32x32xf16, #gpu.address_space<workgroup>>
// CHECK: memref.view {{.*}} to memref<4x32x32xf16, #gpu.address_space<workgroup>>
// CHECK: memref.view {{.*}} to memref<8x1x32xi32, #gpu.address_space<workgroup>>
// The list is copied asynchronously, once per block, four bytes an entry.
// CHECK: nvgpu.device_async_copy %[[LIST]]{{.*}}, 1, %{{.*}} : memref<?xi32> to memref<8x1x32xi32
// The rows of B follow it in chunks of 16 bytes, and are zero where it ends; the columns of A go one by one.
// CHECK: nvgpu.device_async_copy {{.*}}, 8, %{{.*}} {bypassL1} : memref<?x?xf16> to memref<4x32x32xf16
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: nvgpu.ldmatrix {{.*}}numTiles = 4 : i32, transpose = false{{.*}} -> vector<4x2xf16>
// CHECK: nvgpu.ldmatrix {{.*}}numTiles = 4 : i32, transpose = true{{.*}} -> vector<4x2xf16>
// CHECK: nvgpu.mma.sync{{.*}}mmaShape = [16, 8, 16]{{.*}} -> vector<2x2xf32>
// CHECK: nvgpu.device_async_wait %{{.*}} {numGroups = 2 : i32}
// Sums go through shared memory and out in rows of 16 bytes per thread. Nothing is atomic: a block owns its tile.
// CHECK: gpu.barrier
// CHECK: vector.store {{.*}}#gpu.address_space<workgroup>>, vector<2xf32>
// CHECK: gpu.barrier
// CHECK: vector.store {{.*}}alignment = 16{{.*}} memref<?x?xf32>, vector<4xf32>
// CHECK-NOT: atomic

// NVVM: nvvm.cp.async.shared.global
// NVVM: nvvm.ldmatrix
// NVVM: nvvm.mma.sync
// NVVM-SAME: shape = #nvvm.shape<m = 16, n = 8, k = 16>

// LLVM: @llvm.nvvm.cp.async
// LLVM: @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16
// LLVM: @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16
// LLVM: @llvm.nvvm.mma.m16n8k16.row.col.f32.f32

// BINARY: gpu.binary @pit_kernels [#gpu.object<#nvvm.target<chip = "sm_80">, assembly = "{{.*}}mma.sync.aligned.m16n8k16
// BINARY: func.func @pit
// BINARY: gpu.launch_func @pit_kernels::@pit_pit_0

// SM80: .target sm_80
// SM90: .target sm_90
// PTX: cp.async.ca.shared.global {{.*}}, 4
// PTX: cp.async.cg.shared.global {{.*}}, 16
// PTX: cp.async.wait_group {{.*}}2
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
func.func @pit(%p: !pith.pattern<[-1], [1]>, %a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf32> {bufferization.writable = true}) -> tensor<?x?xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf32>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%s) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 32, 32, 32>, micro_tile = array<i64: 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1], [1]>, tensor<?x?xf16>, tensor<?x?xf16>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
