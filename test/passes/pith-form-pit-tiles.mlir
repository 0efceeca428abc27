// Ops with a marked operand become pit_tiles, each beside its dense rival.
// RUN: pith-opt %s --pith-form-pit-tiles | filecheck %s
// RUN: pith-opt %s --pith-form-pit-tiles=always=true | filecheck %s --check-prefix=ALWAYS
// RUN: pith-opt %s --pith-infer-pit-axes --pith-select-tiles --pith-form-pit-tiles | filecheck %s
// RUN: pith-opt %s --pith-form-pit-tiles=target=sm_90 | filecheck %s --check-prefix=GPU

// Whole rows: a pattern over one axis, stored and not added up. The grid of a dynamic size is computed at run time.
// CHECK-LABEL: func.func @rows
// CHECK: %[[P:.*]] = "pith.detect"(%arg0) {axes = array<i64: 0>, granularity = array<i64: 1>
// CHECK: %[[TOTAL:.*]] = arith.ceildivui
// CHECK: scf.if
// CHECK: "pith.pit_tile"(%[[P]],
// CHECK: accumulate = false, axes = array<i64: 0>
// CHECK: } else {
// CHECK: linalg.matmul
// ALWAYS-LABEL: func.func @rows
// ALWAYS-NOT: scf.if
// ALWAYS: "pith.pit_tile"
func.func @rows(%a: tensor<?x1024xf32>, %b: tensor<1024x512xf32>, %c: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 0>, threshold = 0.0 : f64}]}
      ins(%a, %b : tensor<?x1024xf32>, tensor<1024x512xf32>) outs(%c : tensor<?x512xf32>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}

// The right operand; rows of B are k. What is up to the threshold is cleared for tiles and the dense rival alike.
// CHECK-LABEL: func.func @right
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%arg1 :
// CHECK: arith.cmpf ugt, %[[X:.*]], %{{.*}} : f64
// CHECK: arith.cmpf olt, %[[X]], %{{.*}} : f64
// CHECK: arith.select
// CHECK: "pith.detect"(%[[B]]) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.000000e+00 : f64}
// CHECK: scf.if
// CHECK: "pith.pit_tile"(%{{.*}}, %arg0, %[[B]], %arg2)
// CHECK: axes = array<i64: 2>
// CHECK: } else {
// CHECK: linalg.matmul ins(%arg0, %[[B]] :
func.func @right(%a: tensor<256x1024xf32>, %b: tensor<1024x512xf32>, %c: tensor<256x512xf32>) -> tensor<256x512xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 1, granularity = array<i64: 1, 0>, threshold = 0.5 : f64}]}
      ins(%a, %b : tensor<256x1024xf32>, tensor<1024x512xf32>) outs(%c : tensor<256x512xf32>) -> tensor<256x512xf32>
  return %0 : tensor<256x512xf32>
}

// Two sparse operands, dropped tokens and dead features: one tile over two patterns.
// CHECK-LABEL: func.func @both
// CHECK: %[[TOKENS:.*]] = "pith.detect"(%arg0) {axes = array<i64: 0>
// CHECK: %[[FEATURES:.*]] = "pith.detect"(%arg1) {axes = array<i64: 1>
// CHECK: "pith.pit_tile"(%[[TOKENS]], %[[FEATURES]], %arg0, %arg1, %arg2)
// CHECK: axes = array<i64: 0, 1>
func.func @both(%a: tensor<1024x1024xf32>, %b: tensor<1024x1024xf32>, %c: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 1, 0>}, {operand = 1, granularity = array<i64: 0, 1>}]}
      ins(%a, %b : tensor<1024x1024xf32>, tensor<1024x1024xf32>) outs(%c : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  return %0 : tensor<1024x1024xf32>
}

// Channels of a convolution; what the windows slide over stays whole.
// CHECK-LABEL: func.func @channels
// CHECK: "pith.detect"(%arg0) {axes = array<i64: 3>
// CHECK: linalg.conv_2d_nhwc_hwcf ins({{.*}} : tensor<{{[0-9]+}}x34x34x32xf32>, tensor<3x3x32x{{[0-9]+}}xf32>)
// CHECK: axes = array<i64: 6>
func.func @channels(%x: tensor<4x34x34x512xf32>, %w: tensor<3x3x512x256xf32>, %o: tensor<4x32x32x256xf32>) -> tensor<4x32x32x256xf32> {
  %0 = linalg.conv_2d_nhwc_hwcf {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 0, 0, 1>}]}
      ins(%x, %w : tensor<4x34x34x512xf32>, tensor<3x3x512x256xf32>) outs(%o : tensor<4x32x32x256xf32>) -> tensor<4x32x32x256xf32>
  return %0 : tensor<4x32x32x256xf32>
}

// Known to be full: dense, and the marks go.
// CHECK-LABEL: func.func @full
// CHECK-NEXT: %0 = linalg.matmul ins(
func.func @full(%a: tensor<64x64xf32>, %b: tensor<64x64xf32>, %c: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %0 = linalg.matmul {pith.sparsity = 0.0 : f64, pith.dynamic = [{operand = 0, granularity = array<i64: 1, 1>}]}
      ins(%a, %b : tensor<64x64xf32>, tensor<64x64xf32>) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}

// Dense, but what is up to the threshold counts as zero all the same; integers are compared with its whole part.
// CHECK-LABEL: func.func @full_above
// CHECK: %[[A:.*]] = linalg.generic {{.*}} ins(%arg0 :
// CHECK-DAG: %[[HIGH:.*]] = arith.constant 2 : i8
// CHECK-DAG: arith.cmpi sgt, %in, %[[HIGH]] : i8
// CHECK-DAG: %[[LOW:.*]] = arith.constant -2 : i8
// CHECK-DAG: arith.cmpi slt, %in, %[[LOW]] : i8
// CHECK: linalg.matmul ins(%[[A]], %arg1 :
func.func @full_above(%a: tensor<64x64xi8>, %b: tensor<64x64xi8>, %c: tensor<64x64xi32>) -> tensor<64x64xi32> {
  %0 = linalg.matmul {pith.sparsity = 0.0 : f64, pith.dynamic = [{operand = 0, granularity = array<i64: 1, 1>, threshold = 2.5 : f64}]}
      ins(%a, %b : tensor<64x64xi8>, tensor<64x64xi8>) outs(%c : tensor<64x64xi32>) -> tensor<64x64xi32>
  return %0 : tensor<64x64xi32>
}

// Whose times decide: a GPU's micro-tiles have the rows of its fragments, sixteen and more, and pay up to another share.
// GPU-LABEL: func.func @chip
// GPU: %[[P:.*]] = "pith.detect"(%arg0) {axes = array<i64: 0, 1>, granularity = array<i64: [[ROWS:16|32|64|128]], 1>
// GPU: scf.if
// GPU: "pith.pit_tile"(%[[P]],
// GPU: ^bb0(%{{.*}}: tensor<[[ROWS]]x32xf16>, %{{.*}}: tensor<32x128xf16>,
// GPU: } else {
// GPU: linalg.matmul
func.func @chip(%a: tensor<4096x4096xf16>, %b: tensor<4096x4096xf16>, %c: tensor<4096x4096xf16>) -> tensor<4096x4096xf16> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>}]}
      ins(%a, %b : tensor<4096x4096xf16>, tensor<4096x4096xf16>) outs(%c : tensor<4096x4096xf16>) -> tensor<4096x4096xf16>
  return %0 : tensor<4096x4096xf16>
}
