// Ops of unknown dialects are an error unless allowed.
// RUN: not pith-opt %s 2>&1 | filecheck %s --check-prefix=REFUSED
// RUN: pith-opt %s --allow-unregistered-dialect | filecheck %s
// REFUSED: input-flags.mlir:18:12: error: {{.*}}unregistered dialect

// The input is wrapped in a module unless it is told not to be.
// CHECK:      module {
// CHECK-NEXT:   func.func @f
// RUN: pith-opt %s --allow-unregistered-dialect --no-implicit-module --pass-pipeline='func.func(cse)' | filecheck %s --check-prefix=BARE
// BARE-NOT: module
// BARE:     {{^}}func.func @f

// Pith's passes want a module.
// RUN: not pith-opt %s --allow-unregistered-dialect --no-implicit-module --pith-assemble-arguments 2>&1 | filecheck %s --check-prefix=NOMODULE
// NOMODULE: error: pass 'pith-assemble-arguments' failed: runs on builtin.module, not on 'func.func'

func.func @f() {
  "foo.bar"() : () -> ()
  return
}
