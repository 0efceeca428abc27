// RUN: pith-opt --pith-hoist-scales --split-input-file %s | filecheck %s

// Scales of a quantised weight's rows (pith.dequantize_rows) leave the product: integers are multiplied, and each sum is
// scaled once.

#id2 = affine_map<(i, j) -> (i, j)>
#x = affine_map<(n, o, k) -> (n, k)>
#w = affine_map<(n, o, k) -> (o, k)>
#y = affine_map<(n, o, k) -> (n, o)>
#nm = #pith.format<affine_map<(i, j) -> (i, j floordiv 4, j mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 32 : i64, 32 : i64, 2 : i64>

// A factor of a row of the weight is one of a column of the result.

// CHECK-LABEL: func.func @linear
// CHECK-NOT:     dequantize_rows
// CHECK:         %[[zeros:.*]] = linalg.fill
// CHECK:         %[[sum:.*]] = linalg.generic {{.*}} ins(%arg2, %arg0 : tensor<?x8xf32>, tensor<16x8xi8, #{{.*}}>) outs(%[[zeros]]
// CHECK-NEXT:    ^bb0(%[[u:.*]]: f32, %[[v:.*]]: i8, %[[o:.*]]: f32):
// CHECK-NEXT:      %[[f:.*]] = arith.sitofp %[[v]] : i8 to f32
// CHECK-NEXT:      %[[p:.*]] = arith.mulf %[[u]], %[[f]] : f32
// CHECK-NEXT:      arith.addf %[[o]], %[[p]] : f32
// CHECK:         linalg.generic {{.*}} ins(%[[sum]], %arg1 : tensor<?x16xf32>, tensor<16xf32>)
// CHECK-NEXT:    ^bb0(%[[s:.*]]: f32, %[[scale:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      arith.mulf %[[s]], %[[scale]] : f32
func.func @linear(%q: tensor<16x8xi8, #nm>, %s: tensor<16xf32>, %x: tensor<?x8xf32>, %e: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = "pith.dequantize_rows"(%q, %s) : (tensor<16x8xi8, #nm>, tensor<16xf32>) -> tensor<16x8xf32, #nm>
  %c = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x8xf32>, tensor<16x8xf32, #nm>) outs(%c : tensor<?x16xf32>) {
  ^bb0(%u: f32, %v: f32, %o: f32):
    %p = arith.mulf %u, %v : f32
    %t = arith.addf %o, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// What the sum starts with is not scaled.

#x = affine_map<(n, o, k) -> (n, k)>
#w = affine_map<(n, o, k) -> (o, k)>
#y = affine_map<(n, o, k) -> (n, o)>
#csr = #pith.format<affine_map<(i, j) -> (i, j)>, [#pith.level<"dense">, #pith.level<"compressed">], 32 : i64, 32 : i64, 0 : i64>

// CHECK-LABEL: func.func @adds
// CHECK:         %[[zeros:.*]] = linalg.fill
// CHECK:         %[[sum:.*]] = linalg.generic {{.*}} outs(%[[zeros]]
// CHECK:         linalg.generic {{.*}} ins(%[[sum]], %arg1, %arg3
// CHECK-NEXT:    ^bb0(%[[s:.*]]: f32, %[[scale:.*]]: f32, %[[c:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      %[[m:.*]] = arith.mulf %[[s]], %[[scale]] : f32
// CHECK-NEXT:      arith.addf %[[c]], %[[m]] : f32
func.func @adds(%q: tensor<16x8xi8, #csr>, %s: tensor<16xf32>, %x: tensor<?x8xf32>, %c: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %w = "pith.dequantize_rows"(%q, %s) : (tensor<16x8xi8, #csr>, tensor<16xf32>) -> tensor<16x8xf32, #csr>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x8xf32>, tensor<16x8xf32, #csr>) outs(%c : tensor<?x16xf32>) {
  ^bb0(%u: f32, %v: f32, %o: f32):
    %p = arith.mulf %u, %v : f32
    %t = arith.addf %o, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// Rows that are summed over are scaled before: in a dense copy.

#csr = #pith.format<affine_map<(i, j) -> (i, j)>, [#pith.level<"dense">, #pith.level<"compressed">], 32 : i64, 32 : i64, 0 : i64>

// CHECK-LABEL: func.func @contracts_rows
// CHECK:         %[[q:.*]] = "pith.decompress"(%arg0) : (tensor<16x8xi8, #{{.*}}>) -> tensor<16x8xi8>
// CHECK:         %[[w:.*]] = linalg.generic {{.*}} ins(%[[q]], %arg1 : tensor<16x8xi8>, tensor<16xf32>)
// CHECK-NEXT:    ^bb0(%[[v:.*]]: i8, %[[scale:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      %[[f:.*]] = arith.sitofp %[[v]] : i8 to f32
// CHECK-NEXT:      arith.mulf %[[f]], %[[scale]] : f32
// CHECK:         linalg.matmul ins(%arg2, %[[w]] : tensor<4x16xf32>, tensor<16x8xf32>)
func.func @contracts_rows(%q: tensor<16x8xi8, #csr>, %s: tensor<16xf32>, %x: tensor<4x16xf32>, %c: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = "pith.dequantize_rows"(%q, %s) : (tensor<16x8xi8, #csr>, tensor<16xf32>) -> tensor<16x8xf32, #csr>
  %y = linalg.matmul ins(%x, %w : tensor<4x16xf32>, tensor<16x8xf32, #csr>) outs(%c : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @not_multiplied
// CHECK:         %[[q:.*]] = "pith.decompress"(%arg0)
// CHECK:         %[[w:.*]] = linalg.generic {{.*}} ins(%[[q]], %arg1
// CHECK:         return %[[w]]
func.func @not_multiplied(%q: tensor<16x8xi8, #csr>, %s: tensor<16xf32>) -> tensor<16x8xf32> {
  %w = "pith.dequantize_rows"(%q, %s) : (tensor<16x8xi8, #csr>, tensor<16xf32>) -> tensor<16x8xf32, #csr>
  %d = "pith.decompress"(%w) : (tensor<16x8xf32, #csr>) -> tensor<16x8xf32>
  return %d : tensor<16x8xf32>
}
