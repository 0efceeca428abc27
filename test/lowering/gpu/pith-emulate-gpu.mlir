// Kernels become functions of one thread: ids, barriers and warp-wide ops are calls, memory accesses are guarded.
// RUN: pith-opt %s --pith-emulate-gpu --canonicalize --cse | filecheck %s
// RUN: pith-opt %s --pith-emulate-gpu=checks=false --canonicalize --cse | filecheck %s --check-prefix=FAST
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-emulate-gpu,vector-to-llvm)' | filecheck %s --check-prefix=LLVM

// Sites say where an op is; memory of a block is static, then dynamic.
// CHECK: module attributes {
// CHECK-SAME: pith.emulator_sites = ["", "{{.*}}pith-emulate-gpu.mlir:{{[0-9]+}}: memref.load", {{.*}}gpu.barrier"
// CHECK-SAME: pith.emulator_static_bytes = {copies = 0 : i64, product = 0 : i64, reverse = 256 : i64}

module attributes {gpu.container_module} {
gpu.module @kernels [#nvvm.target<chip = "sm_90">] {
  // CHECK-LABEL: func.func @reverse(
  // CHECK-SAME: %[[A:.*]]: memref<?xf32>) attributes {llvm.emit_c_interface}
  // CHECK: %[[BYTES:.*]] = call @pith_emulator_shared(%{{.*}}, %[[SIZE:.*]]) : (index, index) -> memref<?xi8>
  // CHECK: %[[S:.*]] = memref.view %[[BYTES]][{{.*}}][] : memref<?xi8> to memref<64xf32>
  // CHECK: %[[T:.*]] = call @pith_emulator_index({{.*}}) : (index) -> index
  // CHECK: %[[N:.*]] = memref.dim %[[A]]
  // CHECK: %[[OUTSIDE:.*]] = arith.cmpi uge, %[[T]], %[[N]]
  // CHECK: scf.if %[[OUTSIDE]]
  // CHECK: call @pith_emulator_outside({{.*}}, %[[T]], {{.*}}, %[[N]])
  // CHECK: %[[X:.*]] = memref.load %[[A]][%[[T]]]
  // CHECK: memref.extract_aligned_pointer_as_index %[[S]]
  // CHECK: call @pith_emulator_write(
  // CHECK: memref.store %[[X]], %[[S]][%[[T]]] : memref<64xf32>
  // CHECK: call @pith_emulator_barrier(
  // CHECK: call @pith_emulator_read(
  // CHECK: memref.load %[[S]]
  // CHECK: call @pith_emulator_shuffle({{.*}}) : (index, index, index, index, index, index) -> (index, index)
  // CHECK: call @pith_emulator_global_write(
  // CHECK: return
  // FAST-LABEL: func.func @reverse(
  // FAST-NOT: pith_emulator_outside
  // FAST-NOT: pith_emulator_write
  // FAST: call @pith_emulator_barrier(
  // LLVM-LABEL: llvm.func @reverse(
  // LLVM: llvm.call @pith_emulator_barrier(
  // LLVM: llvm.func @_mlir_ciface_reverse(
  gpu.func @reverse(%a: memref<?xf32>) workgroup(%s: memref<64xf32, #gpu.address_space<workgroup>>) kernel {
    %t = gpu.thread_id x
    %x = memref.load %a[%t] : memref<?xf32>
    memref.store %x, %s[%t] : memref<64xf32, #gpu.address_space<workgroup>>
    gpu.barrier
    %c63 = arith.constant 63 : index
    %r = arith.subi %c63, %t : index
    %y = memref.load %s[%r] : memref<64xf32, #gpu.address_space<workgroup>>
    %one = arith.constant 1 : i32
    %width = arith.constant 32 : i32
    %z, %valid = gpu.shuffle xor %y, %one, %width : f32
    memref.store %z, %a[%t] : memref<?xf32>
    gpu.return
  }

  // Fragments go through stack memory, of which a kernel has one per role.
  // CHECK-LABEL: func.func @product(
  // CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<8xf16>
  // CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<4xf32>
  // CHECK: call @pith_emulator_lane_bounds(
  // CHECK: call @pith_emulator_ldmatrix(
  // CHECK: vector.load {{.*}} : memref<8xf16>, vector<8xf16>
  // CHECK: call @pith_emulator_mma(
  // CHECK: vector.load {{.*}} : memref<4xf32>, vector<4xf32>
  gpu.func @product(%b: memref<2x2xf16>, %d: memref<32x4xf32>) kernel {
    %c0 = arith.constant 0 : index
    %t = gpu.thread_id x
    %bytes = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
    %s = memref.view %bytes[%c0][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<16x24xf16, #gpu.address_space<workgroup>>
    %lhs = nvgpu.ldmatrix %s[%t, %c0] {numTiles = 4 : i32, transpose = false} : memref<16x24xf16, #gpu.address_space<workgroup>> -> vector<4x2xf16>
    %x = memref.load %b[%c0, %c0] : memref<2x2xf16>
    %rhs = vector.broadcast %x : f16 to vector<2x2xf16>
    %zero = arith.constant dense<0.0> : vector<2x2xf32>
    %sum = nvgpu.mma.sync(%lhs, %rhs, %zero) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
    %flat = vector.shape_cast %sum : vector<2x2xf32> to vector<4xf32>
    vector.store %flat, %d[%t, %c0] : memref<32x4xf32>, vector<4xf32>
    gpu.return
  }

  // Tokens of asynchronous copies are dummies, wherever they are carried.
  // CHECK-LABEL: func.func @copies(
  // CHECK: call @pith_emulator_async_copy(
  // CHECK: call @pith_emulator_async_commit() : () -> ()
  // CHECK: scf.for
  // CHECK: call @pith_emulator_async_wait(%{{.*}}) : (index) -> ()
  // A loop without an end in sight lets other threads run.
  // CHECK: scf.while
  // CHECK-NEXT: func.call @pith_emulator_spin(
  gpu.func @copies(%a: memref<64xf32>, %flag: memref<1xi32>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %bytes = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
    %s = memref.view %bytes[%c0][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<64xf32, #gpu.address_space<workgroup>>
    %copy = nvgpu.device_async_copy %a[%c0], %s[%c0], 4 : memref<64xf32> to memref<64xf32, #gpu.address_space<workgroup>>
    %group = nvgpu.device_async_create_group %copy
    %last = scf.for %i = %c0 to %c4 step %c1 iter_args(%token = %group) -> (!nvgpu.device.async.token) {
      nvgpu.device_async_wait %token {numGroups = 1 : i32}
      scf.yield %token : !nvgpu.device.async.token
    }
    %zero = arith.constant 0 : i32
    scf.while : () -> () {
      %x = memref.load %flag[%c0] : memref<1xi32>
      %wait = arith.cmpi eq, %x, %zero : i32
      scf.condition(%wait)
    } do {
      scf.yield
    }
    gpu.return
  }
}

// Host functions that launch kernels go; what they do is in the program's description.
// CHECK-NOT: func.func @run
// CHECK: func.func @other
func.func @run(%a: memref<?xf32>) {
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  gpu.launch_func @kernels::@reverse blocks in (%c1, %c1, %c1) threads in (%c64, %c1, %c1) args(%a : memref<?xf32>)
  return
}
func.func @other() {
  return
}
}
