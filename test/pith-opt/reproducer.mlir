// A failing run writes the IR before the failing pass and the rest of the pipeline to one file ...
// RUN: not pith-opt %s --allow-unregistered-dialect --canonicalize --one-shot-bufferize --cse --mlir-pass-pipeline-crash-reproducer=%t.mlir
// RUN: filecheck %s < %t.mlir

// ... which runs again, here and in upstream's tools.
// RUN: not pith-opt --run-reproducer %t.mlir --allow-unregistered-dialect 2>&1 | filecheck %s --check-prefix=AGAIN
// AGAIN: reproducer.mlir:25:8: error: op was not bufferized

// Nothing is left behind when nothing fails.
// RUN: rm -f %t.ok.mlir && pith-opt %s --allow-unregistered-dialect --cse --mlir-pass-pipeline-crash-reproducer=%t.ok.mlir -o /dev/null
// RUN: not ls %t.ok.mlir

// RUN: not pith-opt --run-reproducer %s --allow-unregistered-dialect 2>&1 | filecheck %s --check-prefix=NONE
// NONE: error: {{.*}}reproducer.mlir: the input holds no reproducer

// CHECK:      func.func @f
// CHECK-NEXT:   "foo.unknown"
// CHECK:      {-#
// CHECK-NEXT:   external_resources: {
// CHECK-NEXT:     mlir_reproducer: {
// CHECK-NEXT:       pipeline: "builtin.module(one-shot-bufferize,cse)",
// CHECK-NEXT:       disable_threading: true,
// CHECK-NEXT:       verify_each: true
func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "foo.unknown"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
