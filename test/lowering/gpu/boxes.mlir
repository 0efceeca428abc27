// Products for sm_90a: the copy engine brings the operands' tiles (TMA), and barriers in shared memory say when.
// RUN: pith-opt %s "--pass-pipeline=builtin.module(pith-to-tensors,convert-pith-to-gpu{target=sm_90a},canonicalize,cse)" -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --gpu-to-nvvm -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX
// RUN: pith-opt %t.gpu.mlir --pith-emulate-gpu | filecheck %s --check-prefix=EMULATE

// CHECK-LABEL: gpu.func @known_matmul_0(
// CHECK-SAME: %[[A:[a-z0-9]+]]: !llvm.ptr, %[[B:[a-z0-9]+]]: !llvm.ptr) kernel
// Tiles in rows of 128 bytes; 128 columns of b are two panels.
// CHECK: %[[AS:.*]] = memref.view {{.*}} to memref<3x32x64xf16, #gpu.address_space<workgroup>>
// CHECK: %[[BS:.*]] = memref.view {{.*}} to memref<3x128x64xf16, #gpu.address_space<workgroup>>
// CHECK: %[[MA:.*]] = builtin.unrealized_conversion_cast %[[A]] {{.*}}tensor = memref<32x64xf16, {{.*}}swizzle = swizzle_128b
// CHECK: %[[MB:.*]] = builtin.unrealized_conversion_cast %[[B]] {{.*}}tensor = memref<64x64xf16, {{.*}}swizzle = swizzle_128b
// CHECK: %[[ISSUER:.*]] = arith.cmpi eq, %thread_id_x, %c0
// CHECK: %[[LANDED:.*]] = nvgpu.mbarrier.create {{.*}}num_barriers = 3
// CHECK: scf.if %[[ISSUER]]
// CHECK-COUNT-3: nvgpu.mbarrier.init %[[LANDED]]
// CHECK: nvvm.fence.mbarrier.init
// One step: 32 x 64 and 64 x 128 elements of 2 bytes in three boxes.
// CHECK: nvgpu.mbarrier.arrive.expect_tx %[[LANDED]][%c0], %c20480
// CHECK: nvgpu.tma.async.load %[[MA]]
// CHECK-COUNT-2: nvgpu.tma.async.load %[[MB]]
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: nvgpu.mbarrier.arrive.expect_tx
// CHECK: nvgpu.mbarrier.try_wait.parity %[[LANDED]]
// CHECK: nvgpu.ldmatrix %[[AS]]
// CHECK: nvgpu.mma.sync
// CHECK-NOT: nvgpu.device_async_wait
// CHECK-LABEL: func.func @known(
// CHECK: %[[D:.*]] = nvgpu.tma.create.descriptor %{{.*}} box[%c32, %c64]
// CHECK: builtin.unrealized_conversion_cast %[[D]] {{.*}} to !llvm.ptr
// CHECK: gpu.launch_func @known_kernels::@known_matmul_0
// CHECK-NOT: gpu.launch_func

// NVVM-LABEL: llvm.func @known_matmul_0
// NVVM-SAME: llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant
// NVVM: nvvm.mbarrier.init
// NVVM: nvvm.cp.async.bulk.tensor.shared.cluster.global
// NVVM: mbarrier.try_wait.parity
// PTX-LABEL: .visible .entry known_matmul_0
// PTX: .param .align 64 .b8
// PTX: mbarrier.init.shared.b64
// PTX: fence.mbarrier_init.release.cluster
// PTX: cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
// PTX: mbarrier.try_wait.parity.shared.b64
// EMULATE-LABEL: func.func @known_matmul_0
// EMULATE: call @pith_emulator_mbarrier_init
// EMULATE: call @pith_emulator_mbarrier_fence
// EMULATE: call @pith_emulator_mbarrier_arrive
// EMULATE: call @pith_emulator_box_copy
// EMULATE: call @pith_emulator_mbarrier_wait
func.func @known(%a: tensor<104x264xf16>, %b: tensor<264x200xf16>, %out: tensor<104x200xf32> {bufferization.writable = true})
    -> tensor<104x200xf32> {
  %c = linalg.matmul {pith.gpu_tile = array<i64: 32, 128, 64, 2, 2, 3>}
    ins(%a, %b : tensor<104x264xf16>, tensor<264x200xf16>) outs(%out : tensor<104x200xf32>) -> tensor<104x200xf32>
  return %c : tensor<104x200xf32>
}

// Where only run time knows whether rows are multiples of 16 bytes, there is a kernel for either, and one grid is empty.
// CHECK-LABEL: gpu.func @asked_matmul_0(
// CHECK: nvgpu.tma.async.load
// CHECK-LABEL: gpu.func @asked_matmul_1(
// CHECK-NOT: nvgpu.tma.async.load
// CHECK: nvgpu.device_async_copy
// CHECK-LABEL: func.func @asked(
// CHECK: arith.remui
// CHECK: gpu.launch_func @asked_kernels::@asked_matmul_0
// CHECK: gpu.launch_func @asked_kernels::@asked_matmul_1
func.func @asked(%a: tensor<?x?xf16>, %b: tensor<?x64xf16>, %out: tensor<?x64xf32> {bufferization.writable = true})
    -> tensor<?x64xf32> {
  %c = linalg.matmul {pith.gpu_tile = array<i64: 32, 64, 64, 2, 2, 3>}
    ins(%a, %b : tensor<?x?xf16>, tensor<?x64xf16>) outs(%out : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %c : tensor<?x64xf32>
}
