// What other formats and orders of a CSR-like product become.
// RUN: pith-opt %s --split-input-file --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s

#csc = #pith.format<affine_map<(d0, d1) -> (d1, d0)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// The entries of a column are neighbours: atomic additions to a buffer of zeros, then one rounding.
// CHECK-LABEL: gpu.func @csc_clear_0(
// CHECK-LABEL: gpu.func @csc_scatter_1(
// CHECK: memref.atomic_rmw addf {{.*}} : (f32, memref<33x5xf32>) -> f32
// CHECK-LABEL: gpu.func @csc_add_2(
// CHECK-LABEL: func.func @csc(
// CHECK: %[[SUMS:.*]] = memref.alloc() : memref<33x5xf32>
// CHECK: gpu.launch_func @csc_kernels::@csc_add_2 {{.*}} args(%[[SUMS]] : memref<33x5xf32>, %{{.*}} : memref<33x5xf16>)
func.func @csc(%a: tensor<33x96xf16, #csc>, %b: tensor<96x5xf16>, %c: tensor<33x5xf16> {bufferization.writable = true})
    -> tensor<33x5xf16> {
  %r = linalg.matmul ins(%a, %b : tensor<33x96xf16, #csc>, tensor<96x5xf16>) outs(%c : tensor<33x5xf16>) -> tensor<33x5xf16>
  return %r : tensor<33x5xf16>
}

// -----

#coo = #pith.format<affine_map<(d0, d1) -> (d0, d1)>,
  [#pith.level<"compressed(nonunique)">, #pith.level<"singleton">], 32, 32, 0>

// Positions of rows are searched in the sorted coordinates; the rest is as for CSR.
// CHECK-LABEL: gpu.func @coo_positions_0(
// CHECK: scf.while
// CHECK: memref.store
// CHECK-LABEL: gpu.func @coo_spmm_
// CHECK-LABEL: gpu.func @coo_carry_
func.func @coo(%a: tensor<33x96xf32, #coo>, %b: tensor<96x5xf32>, %c: tensor<33x5xf32>) -> tensor<33x5xf32> {
  %r = linalg.matmul ins(%a, %b : tensor<33x96xf32, #coo>, tensor<96x5xf32>) outs(%c : tensor<33x5xf32>) -> tensor<33x5xf32>
  return %r : tensor<33x5xf32>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// A linear layer, x W^T: operand and result are transposed through shared memory, so that lanes read and write rows.
// CHECK-LABEL: gpu.func @linear_transpose_0(
// CHECK: memref.view {{.*}} to memref<32x33xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.barrier
// CHECK-LABEL: gpu.func @linear_spmm_1(
// CHECK-LABEL: gpu.func @linear_carry_2(
// CHECK-LABEL: gpu.func @linear_add_3(
func.func @linear(%x: tensor<?x96xf32>, %w: tensor<33x96xf32, #csr>, %c: tensor<?x33xf32>) -> tensor<?x33xf32> {
  %z = arith.constant 0.0 : f32
  %i = linalg.fill ins(%z : f32) outs(%c : tensor<?x33xf32>) -> tensor<?x33xf32>
  %r = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : tensor<?x96xf32>, tensor<33x96xf32, #csr>) outs(%i : tensor<?x33xf32>) -> tensor<?x33xf32>
  return %r : tensor<?x33xf32>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// A vector: lanes along the entries of a row, then a shuffle reduction.
// CHECK-LABEL: gpu.func @spmv_spmm_
// CHECK: scf.for {{.*}} step %{{.*}} iter_args
// CHECK: math.fma {{.*}} : f32
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
func.func @spmv(%a: tensor<33x96xf32, #csr>, %x: tensor<96xf32>, %c: tensor<33xf32>) -> tensor<33xf32> {
  %r = linalg.matvec ins(%a, %x : tensor<33x96xf32, #csr>, tensor<96xf32>) outs(%c : tensor<33xf32>) -> tensor<33xf32>
  return %r : tensor<33xf32>
}
