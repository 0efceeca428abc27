// RUN: pith-opt --pith-unfold-convolutions %s | filecheck %s

// A convolution becomes a copy of its windows and a product over one dimension of places and one of the window. The copy
// is never made where the lowering of the product can pack windows from the image.

#image = affine_map<(n, f, y, x, c, r, s) -> (n, c, y * 2 + r, x * 2 + s * 3)>
#filters = affine_map<(n, f, y, x, c, r, s) -> (f, c, r, s)>
#out = affine_map<(n, f, y, x, c, r, s) -> (n, f, y, x)>

// CHECK-DAG: #[[READ:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d4 * 2 + d2, d5 * 2 + d3 * 3)>
// CHECK-DAG: #[[WINDOWS:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>
// CHECK-DAG: #[[WEIGHTS:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d3)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>

// Strides and dilations are in the map of the copy; window and places become one dimension each.
// CHECK-LABEL: func.func @strided(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<4x3x12x17xf32>, %[[W:[^:]*]]: tensor<8x3x2x3xf32>, %[[Y:[^:]*]]: tensor<4x8x5x6xf32>
// CHECK-DAG:     %[[WF:.*]] = tensor.collapse_shape %[[W]] {{.*}} into tensor<8x18xf32>
// CHECK-DAG:     %[[YF:.*]] = tensor.collapse_shape %[[Y]] {{.*}} into tensor<4x8x30xf32>
// CHECK:         %[[COPY:.*]] = linalg.generic {indexing_maps = [#[[READ]], {{.*}} ins(%[[X]] : {{.*}} outs(%{{.*}} : tensor<4x3x2x3x5x6xf32>)
// CHECK:         %[[C:.*]] = tensor.collapse_shape %[[COPY]] {{.*}} into tensor<4x18x30xf32>
// CHECK:         %[[P:.*]] = linalg.generic {indexing_maps = [#[[WINDOWS]], #[[WEIGHTS]], #[[OUT]]]
// CHECK-SAME:      ins(%[[C]], %[[WF]] : {{.*}} outs(%[[YF]]
// CHECK:           arith.mulf
// CHECK:           arith.addf
// CHECK:         tensor.expand_shape %[[P]] {{.*}} into tensor<4x8x5x6xf32>
func.func @strided(%x: tensor<4x3x12x17xf32>, %w: tensor<8x3x2x3xf32>, %y: tensor<4x8x5x6xf32>) -> tensor<4x8x5x6xf32> {
  %r = linalg.generic {indexing_maps = [#image, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<4x3x12x17xf32>, tensor<8x3x2x3xf32>) outs(%y : tensor<4x8x5x6xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x8x5x6xf32>
  return %r : tensor<4x8x5x6xf32>
}

// Channels last: another order of dimensions, the same copy and product. A single image is no loop of it.
// CHECK-LABEL: func.func @channels_last(
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<3x3x4x4x4xf64>)
// CHECK:         linalg.generic {{.*}} tensor<36x16xf64>, {{.*}} outs(%{{.*}} : tensor<16x8xf64>)
// CHECK:         tensor.expand_shape %{{.*}} {{\[\[}}0, 1, 2], [3]] {{.*}} into tensor<1x4x4x8xf64>
func.func @channels_last(%x: tensor<1x6x6x4xf64>, %w: tensor<3x3x4x8xf64>, %y: tensor<1x4x4x8xf64>) -> tensor<1x4x4x8xf64> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, y, x, f, r, s, c) -> (n, y + r, x + s, c)>,
      affine_map<(n, y, x, f, r, s, c) -> (r, s, c, f)>, affine_map<(n, y, x, f, r, s, c) -> (n, y, x, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x6x6x4xf64>, tensor<3x3x4x8xf64>) outs(%y : tensor<1x4x4x8xf64>) {
  ^bb0(%a: f64, %b: f64, %o: f64):
    %m = arith.mulf %a, %b : f64
    %s = arith.addf %o, %m : f64
    linalg.yield %s : f64
  } -> tensor<1x4x4x8xf64>
  return %r : tensor<1x4x4x8xf64>
}

// One filter per channel (a loop of all three operands) is no matrix product; nor is a sum over windows alone.
// CHECK-LABEL: func.func @depthwise(
// CHECK-NOT:     collapse_shape
func.func @depthwise(%x: tensor<1x8x6x6xf32>, %w: tensor<8x3x3xf32>, %y: tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, c, y, x, r, s) -> (n, c, y + r, x + s)>,
      affine_map<(n, c, y, x, r, s) -> (c, r, s)>, affine_map<(n, c, y, x, r, s) -> (n, c, y, x)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%y : tensor<1x8x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x8x4x4xf32>
  return %r : tensor<1x8x4x4xf32>
}

// Groups are loops of all three operands: a batch of products.
// CHECK-LABEL: func.func @groups(
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<4x2x3x3x4x4xf32>)
// CHECK:         linalg.generic {{.*}} tensor<4x18x16xf32>, tensor<4x5x18xf32>) outs(%{{.*}} : tensor<4x5x16xf32>)
func.func @groups(%x: tensor<1x4x2x6x6xf32>, %w: tensor<4x5x2x3x3xf32>, %y: tensor<1x4x5x4x4xf32>) -> tensor<1x4x5x4x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, g, f, y, x, c, r, s) -> (n, g, c, y + r, x + s)>,
      affine_map<(n, g, f, y, x, c, r, s) -> (g, f, c, r, s)>, affine_map<(n, g, f, y, x, c, r, s) -> (n, g, f, y, x)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x4x2x6x6xf32>, tensor<4x5x2x3x3xf32>) outs(%y : tensor<1x4x5x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x4x5x4x4xf32>
  return %r : tensor<1x4x5x4x4xf32>
}

// Any number of images.
// CHECK-LABEL: func.func @images(
// CHECK:         %[[N:.*]] = tensor.dim %{{.*}}, %c0
// CHECK:         tensor.empty(%[[N]]) : tensor<?x3x3x3x4x4xf32>
// CHECK:         linalg.generic {{.*}} tensor<?x27x16xf32>, tensor<8x27xf32>) outs(%{{.*}} : tensor<?x8x16xf32>)
// CHECK:         tensor.expand_shape {{.*}} : tensor<?x8x16xf32> into tensor<?x8x4x4xf32>
func.func @images(%x: tensor<?x3x6x6xf32>, %w: tensor<8x3x3x3xf32>, %y: tensor<?x8x4x4xf32>) -> tensor<?x8x4x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, f, y, x, c, r, s) -> (n, c, y + r, x + s)>, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<?x3x6x6xf32>, tensor<8x3x3x3xf32>) outs(%y : tensor<?x8x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<?x8x4x4xf32>
  return %r : tensor<?x8x4x4xf32>
}

#stored = #pith.format<affine_map<(d0, d1, d2, d3) -> (d0, d2, d3, d1 floordiv 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// Stored filters are a matrix over the same buffers, and windows have their order: rows, columns, channels.
// CHECK-LABEL: func.func @stored(
// CHECK-DAG:     %[[COPY:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<2x3x3x8x4x4xf32>)
// CHECK-DAG:     %[[C:.*]] = tensor.collapse_shape {{.*}} into tensor<2x72x16xf32>
// CHECK-DAG:     %[[PARTS:.*]]:2 = "pith.disassemble"(%arg1)
// CHECK-DAG:     %[[W:.*]] = "pith.assemble"(%[[PARTS]]#0, %[[PARTS]]#1) {{.*}} -> tensor<5x72xf32, #pith.format<{{.*}}#pith.nm<2 : i64, 4 : i64>]
// CHECK:         linalg.generic {{.*}} ins(%{{.*}}, %[[W]] : {{.*}} outs(%{{.*}} : tensor<2x5x16xf32>)
func.func @stored(%x: tensor<2x8x6x6xf32>, %w: tensor<5x8x3x3xf32, #stored>, %y: tensor<2x5x4x4xf32>) -> tensor<2x5x4x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, f, y, x, c, r, s) -> (n, c, y + r, x + s)>, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<2x8x6x6xf32>, tensor<5x8x3x3xf32, #stored>) outs(%y : tensor<2x5x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<2x5x4x4xf32>
  return %r : tensor<2x5x4x4xf32>
}

// Stored as six channels rounded up to eight: the image gets two channels of zeros.
// CHECK-LABEL: func.func @padded(
// CHECK:         "pith.assemble"{{.*}} -> tensor<5x72xf32
// CHECK:         tensor.pad %{{.*}} low[0, 0, 0, 0] high[0, 2, 0, 0]
func.func @padded(%x: tensor<1x6x6x6xf32>, %w: tensor<5x6x3x3xf32, #pith.padded<#stored>>, %y: tensor<1x5x4x4xf32>) -> tensor<1x5x4x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, f, y, x, c, r, s) -> (n, c, y + r, x + s)>, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x6x6x6xf32>, tensor<5x6x3x3xf32, #pith.padded<#stored>>) outs(%y : tensor<1x5x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x5x4x4xf32>
  return %r : tensor<1x5x4x4xf32>
}

// Windows of one element are the image.
// CHECK-LABEL: func.func @pointwise(
// CHECK-NOT:     tensor.empty
// CHECK:         %[[X:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0], [1], [2, 3]]
// CHECK:         linalg.generic {{.*}} ins(%[[X]], %{{.*}} : tensor<2x8x36xf32>, tensor<5x8xf32>)
func.func @pointwise(%x: tensor<2x8x6x6xf32>, %w: tensor<5x8x1x1xf32>, %y: tensor<2x5x6x6xf32>) -> tensor<2x5x6x6xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, f, y, x, c, r, s) -> (n, c, y + r, x + s)>, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<2x8x6x6xf32>, tensor<5x8x1x1xf32>) outs(%y : tensor<2x5x6x6xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<2x5x6x6xf32>
  return %r : tensor<2x5x6x6xf32>
}

// Images whose height only run time knows.
// CHECK-LABEL: func.func @dynamic(
// CHECK:         %[[H:.*]] = tensor.dim %arg2, %c2
// CHECK:         tensor.empty(%[[H]]) : tensor<3x3x3x?x4xf32>
// CHECK:         linalg.generic {{.*}} tensor<27x?xf32>, tensor<8x27xf32>) outs(%{{.*}} : tensor<8x?xf32>)
// CHECK:         tensor.expand_shape {{.*}} : tensor<8x?xf32> into tensor<1x8x?x4xf32>
func.func @dynamic(%x: tensor<1x3x?x6xf32>, %w: tensor<8x3x3x3xf32>, %y: tensor<1x8x?x4xf32>) -> tensor<1x8x?x4xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(n, f, y, x, c, r, s) -> (n, c, y + r, x + s)>, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x3x?x6xf32>, tensor<8x3x3x3xf32>) outs(%y : tensor<1x8x?x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x8x?x4xf32>
  return %r : tensor<1x8x?x4xf32>
}
