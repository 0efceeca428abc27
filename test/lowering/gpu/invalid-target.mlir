// Targets and chips that do not exist are named, with the close matches.
// RUN: not pith-opt %s --convert-pith-to-gpu=target=sm_9O 2>&1 | filecheck %s
// RUN: not pith-opt %s --convert-pith-to-gpu=target=cpu 2>&1 | filecheck %s --check-prefix=CPU
// RUN: not pith-opt %s --pith-gpu-module-to-binary=chip=sm_75 2>&1 | filecheck %s --check-prefix=CHIP
// RUN: not pith-opt %s --pith-gpu-module-to-binary 2>&1 | filecheck %s --check-prefix=NONE
// RUN: not pith-opt %s --pith-gpu-module-to-binary=chip=sm_90 2>&1 | filecheck %s --check-prefix=LEVEL
// RUN: not pith-opt %s --emit=llvm 2>&1 | filecheck %s --check-prefix=LEVEL

// CHECK: unknown target 'sm_9O'
// CPU: expects a GPU target, got 'cpu'
// CHIP: unknown chip 'sm_75'
// NONE: 'gpu.module' op carries no #nvvm.target
// LEVEL: error: {{.*}}cannot be translated to LLVM IR: holds a 'gpu.func' op
gpu.module @k {
  gpu.func @f(%a: memref<?xf32>) kernel {
    gpu.return
  }
}
