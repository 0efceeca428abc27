// Softmax is one kernel: a warp holds a row in registers, and every element is read and written once.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

#cell = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>

// CHECK-LABEL: gpu.func @softmax_rows_0(
// CHECK-SAME: %[[X:.*]]: memref<?x40xf32>, %[[OUT:.*]]: memref<?x40xf32>, %{{.*}}: index) kernel
// 40 columns are two per thread.
// CHECK-COUNT-2: memref.load
// CHECK-NOT: memref.load
// CHECK-COUNT-10: gpu.shuffle xor
// CHECK-NOT: memref.load
// CHECK: arith.divf
// CHECK-COUNT-2: memref.store
// CHECK-NOT: memref.store
// CHECK: gpu.return
// CHECK-LABEL: func.func @softmax(
// CHECK: gpu.launch_func
// CHECK-NOT: gpu.launch_func

// NVVM: nvvm.shfl.sync
// PTX: shfl.sync.bfly.b32
func.func @softmax(%x: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %c0 = arith.constant 0 : index
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x40xf32>
  %line = tensor.empty(%n) : tensor<?xf32>
  %whole = tensor.empty(%n) : tensor<?x40xf32>
  %lows = linalg.fill ins(%low : f32) outs(%line : tensor<?xf32>) -> tensor<?xf32>
  %most = linalg.reduce { arith.maximumf } ins(%x : tensor<?x40xf32>) outs(%lows : tensor<?xf32>) dimensions = [1]
  %e = linalg.generic {indexing_maps = [#cell, #row, #cell], iterator_types = ["parallel", "parallel"]}
      ins(%x, %most : tensor<?x40xf32>, tensor<?xf32>) outs(%whole : tensor<?x40xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %d = arith.subf %a, %b : f32
    %p = math.exp %d : f32
    linalg.yield %p : f32
  } -> tensor<?x40xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%line : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.reduce { arith.addf } ins(%e : tensor<?x40xf32>) outs(%zeros : tensor<?xf32>) dimensions = [1]
  %r = linalg.generic {indexing_maps = [#cell, #row, #cell], iterator_types = ["parallel", "parallel"]}
      ins(%e, %sum : tensor<?x40xf32>, tensor<?xf32>) outs(%whole : tensor<?x40xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %q = arith.divf %a, %b : f32
    linalg.yield %q : f32
  } -> tensor<?x40xf32>
  return %r : tensor<?x40xf32>
}
