// What --verify-diagnostics reports when comments and diagnostics disagree.
// RUN: not pith-opt %s --split-input-file --verify-diagnostics 2>&1 | filecheck %s

func.func @unexpected() -> i32 {
  // CHECK: verify-diagnostics-fails.mlir:6:3: error: unexpected error: 'func.return' op has 0 operands
  return
}

// -----

func.func @missing() {
  // CHECK: verify-diagnostics-fails.mlir:13:{{.*}}error: expected error "no such message" was not produced
  return // expected-error {{no such message}}
}

// -----

func.func @other_severity() -> i32 {
  // CHECK-DAG: verify-diagnostics-fails.mlir:21:{{.*}}error: unexpected error: 'func.return' op has 0 operands
  // CHECK-DAG: verify-diagnostics-fails.mlir:21:{{.*}}error: expected warning "has 0 operands" was not produced
  return // expected-warning {{has 0 operands}}
}

// -----

func.func @malformed() {
  // CHECK: verify-diagnostics-fails.mlir:28:{{.*}}error: malformed expectation
  return // expected-error@nowhere {{...}}
}
