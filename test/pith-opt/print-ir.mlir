// IR dumps go to stderr, in mlir-opt's format, with pith's and upstream's passes alike.
// RUN: pith-opt %s --cse --canonicalize --mlir-print-ir-after-all -o /dev/null 2>&1 | filecheck %s --check-prefix=ALL
// ALL:     // -----// IR Dump After cse //----- //
// ALL:     arith.addi
// ALL:     // -----// IR Dump After canonicalize //----- //
// ALL-NOT: arith.addi

// RUN: pith-opt %s --pass-pipeline='builtin.module(func.func(cse),canonicalize)' --mlir-print-ir-before-all -o /dev/null 2>&1 | filecheck %s --check-prefix=BEFORE
// BEFORE: IR Dump Before func.func(cse) //
// BEFORE: IR Dump Before canonicalize //

// RUN: pith-opt %s --cse --pith-assemble-arguments --canonicalize --mlir-print-ir-before=pith-assemble-arguments --mlir-print-ir-after=canonicalize,symbol-dce -o /dev/null 2>&1 | filecheck %s --check-prefix=SOME
// SOME-NOT: IR Dump After cse
// SOME:     IR Dump Before pith-assemble-arguments //
// SOME:     IR Dump After canonicalize //
// SOME-NOT: IR Dump

// Passes inside upstream's named pipelines are seen one by one.
// RUN: pith-opt %s --sparsifier --mlir-print-ir-after=convert-math-to-libm -o /dev/null 2>&1 | filecheck %s --check-prefix=INNER
// INNER: IR Dump After convert-math-to-libm //

// RUN: pith-opt %s --cse --canonicalize --cse --mlir-print-ir-after-change -o /dev/null 2>&1 | filecheck %s --check-prefix=CHANGE
// CHANGE-NOT: IR Dump After cse
// CHANGE:     IR Dump After canonicalize //
// CHANGE-NOT: IR Dump

// RUN: echo 'func.func @f(%%t: tensor<2xf32>) { "x.y"(%%t) : (tensor<2xf32>) -> () return }' | not pith-opt --allow-unregistered-dialect --cse --one-shot-bufferize --mlir-print-ir-after-failure 2>&1 | filecheck %s --check-prefix=FAIL
// FAIL-NOT: IR Dump After cse
// FAIL:     error: op was not bufferized
// FAIL:     IR Dump After one-shot-bufferize Failed //

// --mlir-print-ir-tree-dir writes the dumps as files.
// RUN: rm -rf %t && pith-opt %s --cse --canonicalize --mlir-print-ir-after-all --mlir-print-ir-tree-dir=%t -o /dev/null
// RUN: filecheck %s --check-prefix=TREE < %t/builtin_module_no-symbol-name/1_canonicalize.mlir
// TREE:      IR Dump After canonicalize
// TREE-NOT:  arith.addi

// RUN: not pith-opt %s --mlir-print-ir-after=canonicalise 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: unknown pass 'canonicalise' in --mlir-print-ir-*
// UNKNOWN: hint: did you mean 'canonicalize'?

func.func @f(%t: tensor<4xf32>) -> i32 {
  %0 = arith.constant 1 : i32
  %1 = arith.constant 2 : i32
  %2 = arith.addi %0, %1 : i32
  return %2 : i32
}

func.func private @g(tensor<4xf32>) -> tensor<4xf32>
