// Dense products from the template: a batch of f16 with its consumers, i8, and k shared by blocks.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-ptx)' | filecheck %s --check-prefix=PTX

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A linear layer: bias and ReLU are computed on the vectors that are about to be stored.
// CHECK-LABEL: gpu.func @linear_matmul_0(
// CHECK-SAME: %[[X:.*]]: memref<?x256xf16>, %[[W:.*]]: memref<128x256xf16>, %[[BIAS:.*]]: memref<128xf32>, %[[OUT:.*]]: memref<?x128xf32>) kernel
// Rows of x may end before a tile does; those of w do not.
// CHECK: nvgpu.device_async_copy %[[X]]{{.*}}, 8, %{{.*}} {bypassL1}
// CHECK: nvgpu.device_async_copy %[[W]]{{.*}}, 8 {bypassL1}
// CHECK: scf.for
// CHECK: gpu.barrier
// Both operands are contiguous along k: nothing is transposed.
// CHECK: nvgpu.ldmatrix {{.*}}numTiles = 4 : i32, transpose = false
// CHECK-NOT: transpose = true
// CHECK: nvgpu.mma.sync
// CHECK: nvgpu.device_async_wait
// CHECK: vector.load %[[BIAS]]
// CHECK: arith.maximumf
// CHECK-NOT: vector.load %[[OUT]]
// CHECK: vector.store {{.*}}, %[[OUT]]{{.*}} vector<4xf32>
// CHECK-LABEL: func.func @linear(
// CHECK-NOT: fill
// CHECK: gpu.launch_func @linear_kernels::@linear_matmul_0
// CHECK-NOT: gpu.launch_func

// NVVM-LABEL: llvm.func @linear_matmul_0
// NVVM: nvvm.cp.async.shared.global
// NVVM: nvvm.ldmatrix
// NVVM: nvvm.mma.sync
// PTX: gpu.binary @linear_kernels
// PTX-SAME: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
func.func @linear(%x: tensor<?x256xf16>, %w: tensor<128x256xf16>, %bias: tensor<128xf32>) -> tensor<?x128xf32> {
  %d = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %x, %d : tensor<?x256xf16>
  %e = tensor.empty(%m) : tensor<?x128xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<?x128xf32>) -> tensor<?x128xf32>
  %r = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %w : tensor<?x256xf16>, tensor<128x256xf16>) outs(%i : tensor<?x128xf32>) -> tensor<?x128xf32>
  %e2 = tensor.empty(%m) : tensor<?x128xf32>
  %s = linalg.generic {
    indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
    iterator_types = ["parallel", "parallel"]}
    ins(%r, %bias : tensor<?x128xf32>, tensor<128xf32>) outs(%e2 : tensor<?x128xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.addf %a, %b : f32
    %1 = arith.maximumf %0, %zero : f32
    linalg.yield %1 : f32
  } -> tensor<?x128xf32>
  return %s : tensor<?x128xf32>
}

// A batch is one more coordinate of the block's number; i8 sums are i32.
// CHECK-LABEL: gpu.func @batch_matmul_0(
// CHECK: nvgpu.ldmatrix {{.*}} -> vector<4x4xi8>
// CHECK: nvgpu.mma.sync{{.*}}mmaShape = [16, 8, 32]{{.*}} -> vector<2x2xi32>
// NVVM-LABEL: llvm.func @batch_matmul_0
// NVVM: nvvm.mma.sync
// NVVM-SAME: shape = #nvvm.shape<m = 16, n = 8, k = 32>
// PTX: gpu.binary @batch_kernels
// PTX-SAME: mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32
func.func @batch(%a: tensor<6x64x64xi8>, %b: tensor<6x64x64xi8>, %c: tensor<6x64x64xi32>) -> tensor<6x64x64xi32> {
  %r = linalg.batch_matmul
    indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>]
    ins(%a, %b : tensor<6x64x64xi8>, tensor<6x64x64xi8>) outs(%c : tensor<6x64x64xi32>) -> tensor<6x64x64xi32>
  return %r : tensor<6x64x64xi32>
}

// Few tiles and a long k: blocks share tiles, and a second kernel adds their sums in order.
// CHECK-LABEL: gpu.func @skinny_matmul_0({{.*}}memref<16x8192xbf16>, {{.*}}memref<1024x8192xbf16>, %[[PARTS:.*]]: memref<{{[0-9]+}}x16x1024xf32>) kernel
// CHECK: nvgpu.mma.sync{{.*}}mmaShape = [16, 8, 16]
// CHECK: vector.store {{.*}}x16x1024xf32>, vector<4xf32>
// CHECK-LABEL: gpu.func @skinny_sum_1(
// CHECK: vector.load {{.*}}x16x1024xf32>, vector<4xf32>
// CHECK: arith.addf {{.*}} : vector<4xf32>
// CHECK: arith.truncf {{.*}} : vector<4xf32> to vector<4xbf16>
// PTX: gpu.binary @skinny_kernels
// PTX-SAME: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
func.func @skinny(%x: tensor<16x8192xbf16>, %w: tensor<1024x8192xbf16>) -> tensor<16x1024xbf16> {
  %zero = arith.constant 0.0 : bf16
  %e = tensor.empty() : tensor<16x1024xbf16>
  %i = linalg.fill ins(%zero : bf16) outs(%e : tensor<16x1024xbf16>) -> tensor<16x1024xbf16>
  %r = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %w : tensor<16x8192xbf16>, tensor<1024x8192xbf16>) outs(%i : tensor<16x1024xbf16>) -> tensor<16x1024xbf16>
  return %r : tensor<16x1024xbf16>
}
