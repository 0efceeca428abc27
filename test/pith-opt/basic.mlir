// Read a file or stdin, run passes, print.
// RUN: pith-opt %s --canonicalize | filecheck %s
// RUN: cat %s | pith-opt - -canonicalize | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(func.func(canonicalize))' -o %t && filecheck %s < %t

// CHECK-LABEL: func.func @constants
// CHECK-NEXT:    %[[C:.*]] = arith.constant 3 : i32
// CHECK-NEXT:    return %[[C]]
func.func @constants() -> i32 {
  %1 = arith.constant 1 : i32
  %2 = arith.constant 2 : i32
  %3 = arith.addi %1, %2 : i32
  return %3 : i32
}
