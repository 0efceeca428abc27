// RUN: pith-opt --pith-propagate-encodings %s | filecheck %s

// An encoding flows into every op to which zeros of the tensor make no difference, and a
// pith.decompress stands in front of every other op.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// A product only multiplies by the weight and adds up: it reads the encoded tensor itself.

// CHECK-LABEL: func.func @product
// CHECK-SAME:    (%[[w:.*]]: tensor<8x16xf32, #pith.format<{{.*}}>>, %[[x:.*]]: tensor<16x4xf32>
// CHECK-NOT:     pith.decompress
// CHECK:         linalg.matmul ins(%[[w]], %[[x]] :
func.func @product(%w: tensor<8x16xf32, #csr>, %x: tensor<16x4xf32>, %c: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %d = "pith.decompress"(%w) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  %y = linalg.matmul ins(%d, %x : tensor<8x16xf32>, tensor<16x4xf32>) outs(%c : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %y : tensor<8x4xf32>
}

// exp(0) = 1: the op needs the zeros, so the dense copy stays.

// CHECK-LABEL: func.func @needs_zeros
// CHECK:         %[[d:.*]] = "pith.decompress"
// CHECK:         linalg.generic {{.*}} ins(%[[d]] :
func.func @needs_zeros(%w: tensor<8x16xf32, #csr>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %d = "pith.decompress"(%w) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
       ins(%d : tensor<8x16xf32>) outs(%c : tensor<8x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %e = math.exp %in : f32
    linalg.yield %e : f32
  } -> tensor<8x16xf32>
  return %y : tensor<8x16xf32>
}

// exp(w * s): the product vanishes with w, what is yielded does not.

// CHECK-LABEL: func.func @needs_zeros_later
// CHECK:         %[[d:.*]] = "pith.decompress"
// CHECK:         linalg.generic {{.*}} ins(%[[d]], %{{.*}} :
func.func @needs_zeros_later(%w: tensor<8x16xf32, #csr>, %s: tensor<16xf32>, %c: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %d = "pith.decompress"(%w) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
       ins(%d, %s : tensor<8x16xf32>, tensor<16xf32>) outs(%c : tensor<8x16xf32>) {
  ^bb0(%in: f32, %scale: f32, %out: f32):
    %m = arith.mulf %in, %scale : f32
    %e = math.exp %m : f32
    linalg.yield %e : f32
  } -> tensor<8x16xf32>
  return %y : tensor<8x16xf32>
}

// An op outside linalg that was handed an encoded tensor gets a dense one: one copy per value and
// op, and outside the loop body that reads it.

// CHECK-LABEL: func.func @other_ops
// CHECK-SAME:    (%[[w:.*]]: tensor<8x16xf32, #pith.format
// CHECK:         %[[a:.*]] = "pith.decompress"(%[[w]])
// CHECK-NEXT:    tensor.extract_slice %[[a]]
// CHECK:         %[[b:.*]] = "pith.decompress"(%[[w]])
// CHECK-NEXT:    linalg.generic
// CHECK:           tensor.extract %[[b]]
// CHECK:         tensor.dim %[[w]]
func.func @other_ops(%w: tensor<8x16xf32, #csr>, %i: tensor<4xindex>, %c: tensor<4xf32>) -> (tensor<2x2xf32>, tensor<4xf32>, index) {
  %c0 = arith.constant 0 : index
  %s = tensor.extract_slice %w[0, 0] [2, 2] [1, 1] : tensor<8x16xf32, #csr> to tensor<2x2xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
       ins(%i : tensor<4xindex>) outs(%c : tensor<4xf32>) {
  ^bb0(%row: index, %out: f32):
    %e = tensor.extract %w[%row, %c0] : tensor<8x16xf32, #csr>
    linalg.yield %e : f32
  } -> tensor<4xf32>
  %n = tensor.dim %w, %c0 : tensor<8x16xf32, #csr>
  return %s, %g, %n : tensor<2x2xf32>, tensor<4xf32>, index
}
