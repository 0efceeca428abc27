// Elementwise ops and reductions: rows x columns of fused loops, fills that start sums, views inside of kernels.
// RUN: pith-opt %s --split-input-file --convert-pith-to-gpu --canonicalize --cse | filecheck %s
// RUN: pith-opt %s --split-input-file --pass-pipeline='builtin.module(convert-pith-to-gpu,canonicalize,cse,gpu-to-nvvm)' | filecheck %s --check-prefix=NVVM

#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#column = affine_map<(d0, d1, d2) -> (d2)>

// Two loops that all operands see side by side are one; columns come in vectors of 16 bytes.
// CHECK-LABEL: gpu.func @bias_map_0(
// CHECK: memref.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : memref<?x6x40xf32> into memref<?x40xf32>
// CHECK: vector.load {{.*}} : memref<?x40xf32>, vector<4xf32>
// CHECK: vector.load {{.*}} : memref<40xf32>, vector<4xf32>
// CHECK-COUNT-4: arith.addf {{.*}} : f32
// CHECK: vector.store
// CHECK-LABEL: func.func @bias(
// CHECK: memref.alloc
// CHECK-NOT: copy
// NVVM: llvm.func @bias_map_0
func.func @bias(%x: tensor<?x6x40xf32>, %b: tensor<40xf32>) -> tensor<?x6x40xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x6x40xf32>
  %e = tensor.empty(%n) : tensor<?x6x40xf32>
  %r = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %b : tensor<?x6x40xf32>, tensor<40xf32>) outs(%e : tensor<?x6x40xf32>) {
  ^bb0(%u: f32, %v: f32, %o: f32):
    %s = arith.addf %u, %v : f32
    linalg.yield %s : f32
  } -> tensor<?x6x40xf32>
  return %r : tensor<?x6x40xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// A warp per row; the sum starts from the constant of the fill, which is no launch.
// CHECK-LABEL: gpu.func @rows_reduce_0(
// CHECK: scf.for
// CHECK: arith.maximumf
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: memref.store
// CHECK-LABEL: func.func @rows(
// CHECK-COUNT-1: gpu.launch_func
// CHECK-NOT: gpu.launch_func
// NVVM: llvm.func @rows_reduce_0
// NVVM: nvvm.shfl.sync
func.func @rows(%x: tensor<?x?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %low = arith.constant 0xFF800000 : f32
  %n = tensor.dim %x, %c0 : tensor<?x?xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%i : tensor<?xf32>) {
  ^bb0(%u: f32, %o: f32):
    %s = arith.maximumf %u, %o : f32
    linalg.yield %s : f32
  } -> tensor<?xf32>
  return %r : tensor<?xf32>
}

// -----

// Named ops are loops too; outputs are side by side, parts meet in shared memory.
// CHECK-LABEL: gpu.func @columns_reduce_1(
// CHECK: gpu.dynamic_shared_memory
// CHECK: gpu.barrier
// CHECK-NOT: gpu.shuffle
// NVVM: llvm.func @columns_reduce_1
// NVVM: nvvm.barrier
func.func @columns(%x: tensor<?x64xf32>, %o: tensor<64xf32>) -> tensor<64xf32> {
  %r = linalg.reduce { arith.addf } ins(%x : tensor<?x64xf32>) outs(%o : tensor<64xf32>) dimensions = [0]
  return %r : tensor<64xf32>
}

// -----

#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>

// A launcher knows buffers: the view is made by the kernel, from the buffer and its sizes.
// CHECK-LABEL: gpu.func @views_map_0(
// CHECK-SAME: memref<?x40xf32>, %{{.*}}: index, %{{.*}}: index) kernel
// CHECK: memref.expand_shape
// CHECK-LABEL: func.func @views(
// CHECK-NOT: expand_shape
// NVVM: llvm.func @views_map_0
func.func @views(%x: tensor<?x40xf32>, %a: index, %b: index) -> tensor<?x?x40xf32> {
  %v = tensor.expand_shape %x [[0, 1], [2]] output_shape [%a, %b, 40] : tensor<?x40xf32> into tensor<?x?x40xf32>
  %e = tensor.empty(%b, %a) : tensor<?x?x40xf32>
  %r = linalg.transpose ins(%v : tensor<?x?x40xf32>) outs(%e : tensor<?x?x40xf32>) permutation = [1, 0, 2]
  return %r : tensor<?x?x40xf32>
}
