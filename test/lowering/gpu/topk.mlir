// The k largest of every row: a block per row, eight bits of the k-th key at a time, then one pass that lists.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @top_topk_0(
// CHECK-SAME: %[[X:.*]]: memref<?x64xf16>, %[[K:.*]]: index, %[[LIST:.*]]: memref<?xi32>)
// CHECK: memref.view {{.*}} to memref<256xi32, #gpu.address_space<workgroup>>
// Two digits of a 16-bit key.
// CHECK-COUNT-2: memref.atomic_rmw addi {{.*}} memref<256xi32, #gpu.address_space<workgroup>>
// CHECK-NOT: memref.atomic_rmw
// CHECK: memref.store {{.*}}, %[[LIST]]
// CHECK-LABEL: gpu.func @top_count_1(
// CHECK-LABEL: func.func @top(
// CHECK: arith.minui {{.*}}, %c64

// NVVM: llvm.atomicrmw add {{.*}} !llvm.ptr<3>
// PTX: .shared.add.u32
func.func @top(%x: tensor<?x64xf16>, %k: index) -> !pith.pattern<[-1, 64], [1, 1]> {
  %p = "pith.topk"(%x, %k) : (tensor<?x64xf16>, index) -> !pith.pattern<[-1, 64], [1, 1]>
  return %p : !pith.pattern<[-1, 64], [1, 1]>
}
