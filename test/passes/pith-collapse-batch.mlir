// RUN: pith-opt --pith-collapse-batch %s | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-collapse-batch{narrow=true})' | filecheck %s --check-prefix=NARROW

// Batch and sequence are walked together by every operand, so they become one loop and a matrix
// product is left. Both reshapes are views.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#x = affine_map<(b, t, o, k) -> (b, t, k)>
#w = affine_map<(b, t, o, k) -> (o, k)>
#y = affine_map<(b, t, o, k) -> (b, t, o)>
#ysplit = affine_map<(b, t, o, k) -> (b, o, t)>

// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[W:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[Y:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[w:.*]]: tensor<32x16xf32, #pith.format<{{.*}}>>, %[[x:.*]]: tensor<?x?x16xf32>, %[[c:.*]]: tensor<?x?x32xf32>)
// CHECK-DAG:     %[[x2:.*]] = tensor.collapse_shape %[[x]] {{\[}}[0, 1], [2]] : tensor<?x?x16xf32> into tensor<?x16xf32>
// CHECK-DAG:     %[[c2:.*]] = tensor.collapse_shape %[[c]] {{\[}}[0, 1], [2]] : tensor<?x?x32xf32> into tensor<?x32xf32>
// CHECK-DAG:     %[[b:.*]] = tensor.dim %[[c]], %c0
// CHECK-DAG:     %[[t:.*]] = tensor.dim %[[c]], %c1
// CHECK:         %[[y2:.*]] = linalg.generic {indexing_maps = [#[[X]], #[[W]], #[[Y]]], iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[x2]], %[[w]] :
// CHECK-SAME:      outs(%[[c2]] :
// CHECK:         tensor.expand_shape %[[y2]] {{\[}}[0, 1], [2]] output_shape [%[[b]], %[[t]], 32]
func.func @linear(%w: tensor<32x16xf32, #csr>, %x: tensor<?x?x16xf32>, %c: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
       ins(%x, %w : tensor<?x?x16xf32>, tensor<32x16xf32, #csr>) outs(%c : tensor<?x?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// The output has the two dimensions apart: nothing to merge.

// CHECK-LABEL: func.func @apart
// CHECK-NOT:     tensor.collapse_shape
// CHECK:         iterator_types = ["parallel", "parallel", "parallel", "reduction"]
func.func @apart(%w: tensor<32x16xf32, #csr>, %x: tensor<?x?x16xf32>, %c: tensor<?x32x?xf32>) -> tensor<?x32x?xf32> {
  %y = linalg.generic {indexing_maps = [#x, #w, #ysplit], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
       ins(%x, %w : tensor<?x?x16xf32>, tensor<32x16xf32, #csr>) outs(%c : tensor<?x32x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<?x32x?xf32>
  return %y : tensor<?x32x?xf32>
}

// Products of dense tensors are merged alike, contracted loops too: heads times their size.

// CHECK-LABEL: func.func @dense
// CHECK-DAG:     tensor.collapse_shape %arg1 {{\[\[}}0, 1], [2, 3]] : tensor<?x?x12x32xf32> into tensor<?x384xf32>
// CHECK-DAG:     tensor.collapse_shape %arg0 {{\[\[}}0], [1, 2]] : tensor<64x12x32xf32> into tensor<64x384xf32>
// CHECK:         iterator_types = ["parallel", "parallel", "reduction"]
func.func @dense(%w: tensor<64x12x32xf32>, %x: tensor<?x?x12x32xf32>, %c: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
  %y = linalg.generic {indexing_maps = [affine_map<(b, t, o, h, k) -> (b, t, h, k)>, affine_map<(b, t, o, h, k) -> (o, h, k)>,
                                        affine_map<(b, t, o, h, k) -> (b, t, o)>],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
       ins(%x, %w : tensor<?x?x12x32xf32>, tensor<64x12x32xf32>) outs(%c : tensor<?x?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %out, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}

// Other ops without an encoded operand are left as they are.

// CHECK-LABEL: func.func @largest
// CHECK-NOT:     tensor.collapse_shape
func.func @largest(%x: tensor<?x?x16xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %y = linalg.generic {indexing_maps = [affine_map<(b, t, k) -> (b, t, k)>, affine_map<(b, t, k) -> (b, t)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
       ins(%x : tensor<?x?x16xf32>) outs(%c : tensor<?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %0 = arith.maximumf %out, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// Products below 32 bits are merged where their consumer asks for it.
// NARROW-LABEL: func.func @halves
// NARROW: tensor.collapse_shape
// NARROW: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]
// NARROW: tensor.expand_shape
// CHECK-LABEL: func.func @halves
// CHECK-NOT: tensor.collapse_shape
func.func @halves(%x: tensor<?x?x8xf16>, %w: tensor<16x8xf16>, %c: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %r = linalg.generic {
    indexing_maps = [affine_map<(b, t, o, k) -> (b, t, k)>, affine_map<(b, t, o, k) -> (o, k)>, affine_map<(b, t, o, k) -> (b, t, o)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
    ins(%x, %w : tensor<?x?x8xf16>, tensor<16x8xf16>) outs(%c : tensor<?x?x16xf32>) {
  ^bb0(%p: f16, %q: f16, %z: f32):
    %0 = arith.extf %p : f16 to f32
    %1 = arith.extf %q : f16 to f32
    %2 = arith.mulf %0, %1 : f32
    %3 = arith.addf %z, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x16xf32>
  return %r : tensor<?x?x16xf32>
}

// A size of 0 stays a loop of its own: times a size known at run time, upstream takes it for 0 here and for unknown there.
// CHECK-LABEL: func.func @no_batch
// CHECK-NOT: tensor.collapse_shape
func.func @no_batch(%x: tensor<0x?x8xf32>, %w: tensor<16x8xf32>, %c: tensor<0x?x16xf32>) -> tensor<0x?x16xf32> {
  %r = linalg.generic {
    indexing_maps = [affine_map<(b, t, o, k) -> (b, t, k)>, affine_map<(b, t, o, k) -> (o, k)>, affine_map<(b, t, o, k) -> (b, t, o)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
    ins(%x, %w : tensor<0x?x8xf32>, tensor<16x8xf32>) outs(%c : tensor<0x?x16xf32>) {
  ^bb0(%p: f32, %q: f32, %z: f32):
    %0 = arith.mulf %p, %q : f32
    %1 = arith.addf %z, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<0x?x16xf32>
  return %r : tensor<0x?x16xf32>
}
