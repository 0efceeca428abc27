// Sparse times dense with CSR: equal shares of entries and row ends (a merge path), no atomics, the init is not read.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefixes=PTX,SM80
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefixes=PTX,SM90

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 16, 0>

// CHECK-LABEL: gpu.func @spmm_spmm_0(
// CHECK-SAME: %[[POS:.*]]: memref<?xi32>, %[[CRD:.*]]: memref<?xi16>, %[[VALUES:.*]]: memref<?xf16>, %[[B:.*]]: memref<96x64xf16>, %[[C:.*]]: memref<33x64xf16>, %[[CARRIES:.*]]: memref<2x?x64xf32>, %{{.*}}: index) kernel
// Where the share begins and ends: two binary searches over the positions.
// CHECK: scf.while
// CHECK: memref.load %[[POS]]
// CHECK: scf.while
// CHECK: memref.load %[[POS]]
// Rows of the share; entries of a row; 4 columns per lane at once, in f32.
// CHECK: scf.for
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<4xf32>)
// CHECK: memref.load %[[VALUES]]
// CHECK: memref.load %[[CRD]]
// CHECK: vector.load %[[B]][{{.*}}] {alignment = 8 : i64}
// CHECK: math.fma {{.*}} : vector<4xf32>
// A row that lies in the share as a whole is written, once; part of one is carried.
// CHECK: scf.if
// CHECK-NOT: load %[[C]]
// CHECK: vector.store {{.*}}, %[[C]]
// CHECK: } else {
// CHECK: vector.store {{.*}}, %[[CARRIES]]

// CHECK-LABEL: gpu.func @spmm_carry_1(
// CHECK: vector.load
// CHECK: arith.addf {{.*}} : vector<4xf32>

// CHECK-LABEL: func.func @spmm(
// CHECK-NOT: fill
// CHECK-NOT: atomic
// CHECK: gpu.launch_func @spmm_kernels::@spmm_spmm_0
// CHECK: gpu.launch_func @spmm_kernels::@spmm_carry_1

// NVVM: llvm.func @spmm_spmm_0
// NVVM-SAME: nvvm.kernel
// NVVM: llvm.intr.fma

// SM80: .target sm_80
// SM90: .target sm_90
// PTX: .visible .entry spmm_spmm_0
// PTX: ld.global.b16
// PTX: ld.global.v4.b16
// PTX: fma.rn.f32
// PTX: .visible .entry spmm_carry_1
// PTX: ld.global.v4.b32
func.func @spmm(%a: tensor<33x96xf16, #csr>, %b: tensor<96x64xf16>) -> tensor<33x64xf16> {
  %z = arith.constant 0.0 : f16
  %e = tensor.empty() : tensor<33x64xf16>
  %i = linalg.fill ins(%z : f16) outs(%e : tensor<33x64xf16>) -> tensor<33x64xf16>
  %r = linalg.matmul ins(%a, %b : tensor<33x96xf16, #csr>, tensor<96x64xf16>) outs(%i : tensor<33x64xf16>) -> tensor<33x64xf16>
  return %r : tensor<33x64xf16>
}
