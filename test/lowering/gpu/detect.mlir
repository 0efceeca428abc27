// Online detection: one read of the data, a scan over the block, one atomic addition per block for a place in the list.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefix=PTX

// Every run starts from an empty list.
// CHECK-LABEL: gpu.func @detect_reset_0(%{{.*}}: memref<?xi32>) kernel
// CHECK: memref.store %c0_i32

// CHECK-LABEL: gpu.func @detect_detect_1(
// CHECK-SAME: %[[X:.*]]: memref<?x?xf16>, %[[LIST:.*]]: memref<?xi32>) kernel
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// Rows of eight halves that memory can give at once; then the edge, one by one.
// CHECK: scf.if {{.*}} -> (i32)
// CHECK-COUNT-8: vector.load %[[X]]{{.*}} {alignment = 16 : i64} : memref<?x?xf16>, vector<8xf16>
// A magnitude is compared as an integer.
// CHECK: arith.andi {{.*}} : vector<8xi16>
// CHECK: arith.cmpi sgt, {{.*}} : vector<8xi16>
// CHECK: } else {
// CHECK: memref.load %[[X]]
// A thread's cells, counted; the threads before it; the block's place in the list.
// CHECK: math.ctpop
// CHECK-COUNT-5: gpu.shuffle up
// CHECK: gpu.barrier
// CHECK: memref.atomic_rmw addi {{.*}}, %[[LIST]][%c0]
// CHECK-NOT: memref.atomic_rmw
// CHECK: gpu.barrier
// CHECK: scf.while
// CHECK: math.cttz
// CHECK: arith.cmpi ult
// CHECK: memref.store {{.*}}, %[[LIST]]

// The list has room for the grid of 32 x 1 cells, and the host never learns how many there are.
// CHECK-LABEL: func.func @detect(
// CHECK: %[[ROWS:.*]] = arith.ceildivui %dim, %c32
// CHECK: %[[CELLS:.*]] = arith.muli
// CHECK: %[[OUT:.*]] = memref.alloc({{.*}}) : memref<?xi32>
// CHECK: gpu.launch_func @detect_kernels::@detect_reset_0 blocks in (%c1, %c1, %c1)
// CHECK: gpu.launch_func @detect_kernels::@detect_detect_1
// CHECK: return %[[OUT]] : memref<?xi32>

// NVVM: nvvm.shfl.sync up
// NVVM: llvm.atomicrmw add

// PTX: ld.global.v4.b32
// PTX: shfl.sync.up.b32
// PTX: atom.global.add.u32
func.func @detect(%x: tensor<?x?xf16>) -> !pith.pattern<[-1, -1], [32, 1]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 32, 1>, threshold = 0.5 : f64}
    : (tensor<?x?xf16>) -> !pith.pattern<[-1, -1], [32, 1]>
  return %p : !pith.pattern<[-1, -1], [32, 1]>
}
