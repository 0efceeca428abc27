// Every chunk is a module of its own; errors keep the line numbers of the whole file.
// RUN: not pith-opt %s --split-input-file 2>%t.err | filecheck %s
// RUN: filecheck %s --check-prefix=ERR < %t.err
// RUN: cat %s | not pith-opt --split-input-file 2>&1 | filecheck %s --check-prefix=STDIN

// CHECK:       module
// CHECK:       func.func @same_name() {
// CHECK:       // -----
// CHECK-NEXT:  module
// CHECK:       func.func @same_name() -> i32
func.func @same_name() { return }

// -----

// The chunk that fails prints no IR; the others are processed.
func.func @broken() -> i32 {
  // ERR:      split-input-file.mlir:22:3: error: 'func.return' op has 0 operands, but enclosing function (@broken) returns 1
  // ERR-NEXT: {{^}}  return
  // ERR-NEXT: {{^}}  ^
  // STDIN: <stdin>:22:3: error: 'func.return' op has 0 operands
  // CHECK-NOT: @broken
  return
}

// -----

func.func @same_name() -> i32 {
  %0 = arith.constant 1 : i32
  return %0 : i32
}
