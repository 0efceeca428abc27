// RUN: pith-opt --pith-fold-copies %s | filecheck %s
// RUN: pith-opt --pith-fold-copies=only-encoded=false %s | filecheck %s --check-prefix=ALL

// A linear layer as PyTorch lowers it: the weight is transposed, repeated over the batch, and
// multiplied. Afterwards one linalg.generic reads the weight in place, in the order it is stored.

#fmt = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 0>

// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
// CHECK-DAG: #[[W:.*]] = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
// CHECK-DAG: #[[Y:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[w:.*]]: tensor<32x16xf32, #pith.format<{{.*}}>>, %[[x:.*]]: tensor<?x?x16xf32>, %[[c:.*]]: tensor<?x?x32xf32>)
// CHECK:         %[[d:.*]] = "pith.decompress"(%[[w]])
// CHECK-NOT:     linalg.transpose
// CHECK:         linalg.generic {indexing_maps = [#[[X]], #[[W]], #[[Y]]]
// CHECK-SAME:      iterator_types = ["parallel", "parallel", "parallel", "reduction"]
// CHECK-SAME:      ins(%[[x]], %[[d]] :
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      arith.mulf
// CHECK-NEXT:      arith.addf
// CHECK-NOT:     linalg.batch_matmul
func.func @linear(%w: tensor<32x16xf32, #fmt>, %x: tensor<?x?x16xf32>, %c: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
  %c0 = arith.constant 0 : index
  %d = "pith.decompress"(%w) : (tensor<32x16xf32, #fmt>) -> tensor<32x16xf32>
  %0 = tensor.empty() : tensor<16x32xf32>
  %t = linalg.transpose ins(%d : tensor<32x16xf32>) outs(%0 : tensor<16x32xf32>) permutation = [1, 0]
  %b = tensor.dim %x, %c0 : tensor<?x?x16xf32>
  %1 = tensor.empty(%b) : tensor<?x16x32xf32>
  %r = linalg.broadcast ins(%t : tensor<16x32xf32>) outs(%1 : tensor<?x16x32xf32>) dimensions = [0]
  %y = linalg.batch_matmul ins(%x, %r : tensor<?x?x16xf32>, tensor<?x16x32xf32>) outs(%c : tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// A dense product reads through copies too: it packs its operands from any order of dimensions. An
// elementwise op does not, unless only-encoded=false.

// CHECK-LABEL: func.func @dense
// CHECK-SAME:    %[[w:[a-z0-9]+]]: tensor<32x16xf32>
// CHECK:         %[[y:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %[[w]] :
// CHECK:         %[[t:.*]] = linalg.transpose ins(%[[y]]
// CHECK:         linalg.generic {{.*}} ins(%[[t]] :
// ALL-LABEL: func.func @dense
// ALL-NOT:     linalg.transpose
// ALL:         return
func.func @dense(%w: tensor<32x16xf32>, %x: tensor<?x16xf32>, %c: tensor<?x32xf32>, %d: tensor<32x?xf32>) -> tensor<32x?xf32> {
  %0 = tensor.empty() : tensor<16x32xf32>
  %t = linalg.transpose ins(%w : tensor<32x16xf32>) outs(%0 : tensor<16x32xf32>) permutation = [1, 0]
  %y = linalg.matmul ins(%x, %t : tensor<?x16xf32>, tensor<16x32xf32>) outs(%c : tensor<?x32xf32>) -> tensor<?x32xf32>
  %u = linalg.transpose ins(%y : tensor<?x32xf32>) outs(%d : tensor<32x?xf32>) permutation = [1, 0]
  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
       ins(%u : tensor<32x?xf32>) outs(%d : tensor<32x?xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  } -> tensor<32x?xf32>
  return %z : tensor<32x?xf32>
}

// A copy someone else reads stays; the contraction reads through it all the same. A
// linalg.generic that yields its only input is a copy too.

// CHECK-LABEL: func.func @shared
// CHECK:         %[[d:.*]] = "pith.decompress"
// CHECK:         %[[t:.*]] = linalg.generic
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      linalg.yield %in
// CHECK:         linalg.generic {{.*}} ins(%{{.*}}, %[[d]] :
// CHECK:         return %{{.*}}, %[[t]]
func.func @shared(%w: tensor<32x16xf32, #fmt>, %x: tensor<4x16xf32>, %c: tensor<4x32xf32>) -> (tensor<4x32xf32>, tensor<16x32xf32>) {
  %d = "pith.decompress"(%w) : (tensor<32x16xf32, #fmt>) -> tensor<32x16xf32>
  %0 = tensor.empty() : tensor<16x32xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
       ins(%d : tensor<32x16xf32>) outs(%0 : tensor<16x32xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<16x32xf32>
  %y = linalg.matmul ins(%x, %t : tensor<4x16xf32>, tensor<16x32xf32>) outs(%c : tensor<4x32xf32>) -> tensor<4x32xf32>
  return %y, %t : tensor<4x32xf32>, tensor<16x32xf32>
}

// A reshape that keeps the shape is a copy: upstream's fusion makes one to drop the encoding of an operand.

// CHECK-LABEL: func.func @reshaped
// CHECK-SAME:    %[[w:[a-z0-9]+]]: tensor<32x16xf32, #
// CHECK-NOT:     tensor.expand_shape
// CHECK:         linalg.generic {{.*}} ins(%{{.*}}, %[[w]] :
func.func @reshaped(%w: tensor<32x16xf32, #fmt>, %x: tensor<4x16xf32>, %c: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %d = tensor.expand_shape %w [[0], [1]] output_shape [32, 16] : tensor<32x16xf32, #fmt> into tensor<32x16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>,
                                        affine_map<(i, j, k) -> (i, j)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
       ins(%x, %d : tensor<4x16xf32>, tensor<32x16xf32>) outs(%c : tensor<4x32xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %m = arith.mulf %v, %u : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}
