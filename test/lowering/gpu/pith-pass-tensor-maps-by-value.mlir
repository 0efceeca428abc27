// Parameters that the copy engine reads as descriptors are values; other pointers stay pointers.
// RUN: pith-opt %s --pith-pass-tensor-maps-by-value | filecheck %s
// RUN: pith-opt %s --pith-pass-tensor-maps-by-value --emit=ptx | filecheck %s --check-prefix=PTX

gpu.module @kernels [#nvvm.target<chip = "sm_90a">] {
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<1024 x i8>
  llvm.mlir.global private @barrier() {addr_space = 3 : i32, alignment = 8 : i64} : i64
  // CHECK: llvm.func @kernel(
  // CHECK-SAME: %{{.*}}: !llvm.ptr,
  // CHECK-SAME: %[[MAP:.*]]: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant})
  // CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[MAP]]
  // PTX: .param .u64 .ptr .align 1 kernel_param_0
  // PTX: .param .align 64 .b8 kernel_param_1[128]
  // PTX: cvta.param.u64
  // PTX: cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
  llvm.func @kernel(%out: !llvm.ptr, %map: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
    %x = llvm.mlir.constant(0 : i32) : i32
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %to = llvm.addrspacecast %tile : !llvm.ptr<3> to !llvm.ptr<7>
    %barrier = llvm.mlir.addressof @barrier : !llvm.ptr<3>
    nvvm.cp.async.bulk.tensor.shared.cluster.global %to, %map, %barrier, box[%x, %x] : !llvm.ptr<7>, !llvm.ptr
    llvm.store %x, %out : i32, !llvm.ptr
    llvm.return
  }

  // What is no kernel is called with addresses.
  // CHECK: llvm.func @inner(%{{.*}}: !llvm.ptr) {
  llvm.func @inner(%map: !llvm.ptr) {
    %x = llvm.mlir.constant(0 : i32) : i32
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %to = llvm.addrspacecast %tile : !llvm.ptr<3> to !llvm.ptr<7>
    %barrier = llvm.mlir.addressof @barrier : !llvm.ptr<3>
    nvvm.cp.async.bulk.tensor.shared.cluster.global %to, %map, %barrier, box[%x, %x] : !llvm.ptr<7>, !llvm.ptr
    llvm.return
  }
}
