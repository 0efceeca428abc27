// A gpu.module in the LLVM dialect becomes a gpu.binary that holds its PTX. The chip comes from the
// option; without it, from the module's #nvvm.target.
// RUN: pith-opt %s --pith-gpu-module-to-binary=chip=sm_80 | filecheck %s
// RUN: pith-opt %s --pith-gpu-module-to-binary=chip=sm_90 --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK: gpu.binary @kernels
// CHECK-SAME: #gpu.object<#nvvm.target<chip = "sm_80"
// CHECK-SAME: .visible .entry scale(
// CHECK-NOT: llvm.func

// PTX: .target sm_90
// PTX: .visible .entry scale(
// PTX: mov.u32 {{.*}}, %tid.x;
// PTX: mul.{{(rn\.)?}}f32
// PTX: st.global.{{[bf]}}32
module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @scale(%data: !llvm.ptr<1>, %by: f32) attributes {gpu.kernel, nvvm.kernel} {
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = llvm.getelementptr %data[%thread] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %old = llvm.load %at : !llvm.ptr<1> -> f32
      %new = llvm.fmul %old, %by : f32
      llvm.store %new, %at : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}
