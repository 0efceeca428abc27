// What pith.attention has no GPU lowering for.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --convert-pith-to-gpu

func.func @f(%q: tensor<1x2x30x16xf64>, %o: tensor<1x2x30x16xf64>, %s: tensor<1x30x2xi32>) -> tensor<1x2x30x16xf64> {
  %scale = arith.constant 0.25 : f64
  // expected-error @+1 {{'pith.attention' op has no GPU lowering: expects elements of f16, bf16 or f32, got f64}}
  %y = "pith.attention"(%q, %q, %q, %scale, %o, %s) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x2x30x16xf64>, tensor<1x2x30x16xf64>, tensor<1x2x30x16xf64>, f64, tensor<1x2x30x16xf64>,
       tensor<1x30x2xi32>) -> tensor<1x2x30x16xf64>
  return %y : tensor<1x2x30x16xf64>
}

// -----

func.func @f(%q: tensor<1x2x30x272xf16>, %o: tensor<1x2x30x272xf16>, %s: tensor<1x30x2xi32>) -> tensor<1x2x30x272xf16> {
  %scale = arith.constant 0.25 : f64
  // expected-error @+1 {{has no GPU lowering: expects at most 256 features, got 272 and 272}}
  %y = "pith.attention"(%q, %q, %q, %scale, %o, %s) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x2x30x272xf16>, tensor<1x2x30x272xf16>, tensor<1x2x30x272xf16>, f64, tensor<1x2x30x272xf16>,
       tensor<1x30x2xi32>) -> tensor<1x2x30x272xf16>
  return %y : tensor<1x2x30x272xf16>
}
