// pith.attention and its gradient print and parse back, with and without what is optional.
// RUN: pith-opt %s | pith-opt - | filecheck %s
// RUN: pith-opt %s --emit-bytecode -o %t && pith-opt %t | filecheck %s

// CHECK-LABEL: func.func @window
// CHECK: "pith.attention"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
// CHECK-SAME: -> tensor<2x8x?x64xf32>
func.func @window(%q: tensor<2x8x?x64xf32>, %k: tensor<2x2x?x64xf32>, %scale: f64, %out: tensor<2x8x?x64xf32>,
                  %seen: tensor<1x?x2xi32>) -> tensor<2x8x?x64xf32> {
  %y = "pith.attention"(%q, %k, %k, %scale, %out, %seen) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>,
      resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x8x?x64xf32>, tensor<2x2x?x64xf32>, tensor<2x2x?x64xf32>, f64, tensor<2x8x?x64xf32>, tensor<1x?x2xi32>)
    -> tensor<2x8x?x64xf32>
  return %y : tensor<2x8x?x64xf32>
}

// CHECK-LABEL: func.func @everything
// CHECK: "pith.attention"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
// CHECK-SAME: !pith.pattern<[-1, -1], [24, 64]>
// CHECK-SAME: -> (tensor<2x8x?x64xbf16>, tensor<2x8x?xf32>)
func.func @everything(%q: tensor<2x8x?x64xbf16>, %scale: f64, %seen: tensor<2x?x2xi32>, %lse: tensor<2x8x?xf32>,
                      %p: !pith.pattern<[-1, -1], [24, 64]>, %tokens: tensor<2x?xi32>)
    -> (tensor<2x8x?x64xbf16>, tensor<2x8x?xf32>) {
  %y:2 = "pith.attention"(%q, %q, %q, %scale, %q, %seen, %lse, %p, %tokens, %seen) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<2x8x?x64xbf16>, tensor<2x8x?x64xbf16>, tensor<2x8x?x64xbf16>, f64, tensor<2x8x?x64xbf16>, tensor<2x?x2xi32>,
       tensor<2x8x?xf32>, !pith.pattern<[-1, -1], [24, 64]>, tensor<2x?xi32>, tensor<2x?x2xi32>)
    -> (tensor<2x8x?x64xbf16>, tensor<2x8x?xf32>)
  return %y#0, %y#1 : tensor<2x8x?x64xbf16>, tensor<2x8x?xf32>
}

// CHECK-LABEL: func.func @gradients
// CHECK: "pith.attention_grad"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
// CHECK: "pith.attention_grad"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
func.func @gradients(%q: tensor<2x8x?x64xf32>, %dy: tensor<2x8x?x64xf32>, %lse: tensor<2x8x?xf32>, %scale: f64, %seen: tensor<1x?x2xi32>)
    -> (tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>) {
  %dq = "pith.attention_grad"(%q, %dy, %q, %q, %lse, %lse, %scale, %q, %seen) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?xf32>, tensor<2x8x?xf32>,
       f64, tensor<2x8x?x64xf32>, tensor<1x?x2xi32>) -> tensor<2x8x?x64xf32>
  %dkv:2 = "pith.attention_grad"(%q, %q, %q, %dy, %lse, %lse, %scale, %q, %seen, %q) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?xf32>, tensor<2x8x?xf32>,
       f64, tensor<2x8x?x64xf32>, tensor<1x?x2xi32>, tensor<2x8x?x64xf32>) -> (tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>)
  return %dq, %dkv#0, %dkv#1 : tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>
}
