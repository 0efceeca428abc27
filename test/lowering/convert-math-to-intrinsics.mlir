// Functions that are instructions reach NVPTX as intrinsics, not as calls of libdevice.
// RUN: pith-opt %s --convert-math-to-intrinsics | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

gpu.module @k [#nvvm.target<chip = "sm_80">] {
  // CHECK-LABEL: gpu.func @f
  // PTX-LABEL: .entry f(
  gpu.func @f(%a: memref<2xf32>, %b: memref<1xf64>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %x = memref.load %a[%c0] : memref<2xf32>
    %y = memref.load %a[%c1] : memref<2xf32>
    %d = memref.load %b[%c0] : memref<1xf64>
    // CHECK: llvm.call_intrinsic "llvm.roundeven.f32"
    // PTX: cvt.rni.f32.f32
    %0 = math.roundeven %x : f32
    // CHECK: llvm.call_intrinsic "llvm.floor.f32"
    // PTX: cvt.rmi.f32.f32
    %1 = math.floor %y : f32
    // CHECK: llvm.call_intrinsic "llvm.ceil.f32"
    // PTX: cvt.rpi.f32.f32
    %p = arith.mulf %x, %y : f32
    %2 = math.ceil %p : f32
    // CHECK: llvm.call_intrinsic "llvm.trunc.f32"
    // PTX: cvt.rzi.f32.f32
    %q = arith.mulf %0, %2 : f32
    %q1 = arith.mulf %q, %y : f32
    %3 = math.trunc %q1 : f32
    // CHECK: llvm.call_intrinsic "llvm.fabs.f32"
    // PTX: abs.f32
    %4 = math.absf %3 : f32
    // CHECK: llvm.call_intrinsic "llvm.sqrt.f32"
    // PTX: sqrt.rn.f32
    %5 = math.sqrt %4 : f32
    // CHECK: llvm.call_intrinsic "llvm.copysign.f32"
    // PTX: copysign.f32
    %6 = math.copysign %5, %1 : f32
    memref.store %6, %a[%c0] : memref<2xf32>
    // CHECK: llvm.call_intrinsic "llvm.floor.f64"
    // PTX: cvt.rmi.f64.f64
    %7 = math.floor %d : f64
    // CHECK: llvm.call_intrinsic "llvm.maxnum.f64"
    // PTX: max.f64
    %8 = arith.maxnumf %7, %d : f64
    memref.store %8, %b[%c0] : memref<1xf64>
    gpu.return
  }
}

// Code for the host keeps its ops.
// CHECK-LABEL: func.func @host
// CHECK: math.floor
func.func @host(%x: f32) -> f32 {
  %0 = math.floor %x : f32
  return %0 : f32
}
