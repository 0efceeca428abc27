// RUN: pith-opt --split-input-file --pith-assemble-arguments %s | filecheck %s

// An encoded argument becomes its storage buffers in the order of the storage contract, values last;
// a pith.assemble puts them together again for the body.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: func.func @one_argument
// CHECK-SAME:    (%[[x:.*]]: tensor<4xf32>,
// CHECK-SAME:     %[[pos:.*]]: tensor<?xi32> {pith.storage = "1.positions[1]"},
// CHECK-SAME:     %[[crd:.*]]: tensor<?xi32> {pith.storage = "1.coordinates[1]"},
// CHECK-SAME:     %[[val:.*]]: tensor<?xf32> {pith.storage = "1.values"}) -> (tensor<8x16xf32>, tensor<4xf32>)
// CHECK-NEXT:    %[[a:.*]] = "pith.assemble"(%[[pos]], %[[crd]], %[[val]])
// CHECK-NEXT:    %[[d:.*]] = "pith.decompress"(%[[a]])
// CHECK-NEXT:    return %[[d]], %[[x]]
func.func @one_argument(%x: tensor<4xf32>, %a: tensor<8x16xf32, #csr>) -> (tensor<8x16xf32>, tensor<4xf32>) {
  %d = "pith.decompress"(%a) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  return %d, %x : tensor<8x16xf32>, tensor<4xf32>
}

// -----

// What share of the elements is stored is said of the whole, not of its buffers.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: func.func @density
// CHECK-SAME:    tensor<?xf32> {pith.name = "w", pith.storage = "0.values"})
// CHECK-NEXT:    "pith.assemble"({{.*}}) {{.*}}pith.density = 5.000000e-01 : f32
func.func @density(%a: tensor<8x16xf32, #csr> {pith.name = "w", pith.density = 0.5 : f32}) -> tensor<8x16xf32> {
  %d = "pith.decompress"(%a) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  return %d : tensor<8x16xf32>
}

// -----

// What is said of a result stays with it; what is said of a stored tensor is not said of its buffers.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: func.func @results
// CHECK-SAME:    -> (tensor<?xi32>, tensor<?xi32>, tensor<?xi8>, tensor<4xi8> {pith.unsigned})
func.func @results(%x: tensor<4xi8>, %a: tensor<8x16xi8, #csr>)
    -> (tensor<8x16xi8, #csr> {pith.name = "a"}, tensor<4xi8> {pith.unsigned}) {
  return %a, %x : tensor<8x16xi8, #csr>, tensor<4xi8>
}

// -----

// Sizes that the type does not know follow the values. Sub-byte coordinates arrive packed in bytes,
// native widths (0) as index. Attributes of the argument stay with each of its buffers.

#fmt = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"compressed">, #pith.nm<2, 4>], 0, 0, 0>

// CHECK-LABEL: func.func @dynamic
// CHECK-SAME:    (%[[pos:.*]]: tensor<?xindex> {pith.name = "w", pith.storage = "0.positions[1]"},
// CHECK-SAME:     %[[crd:.*]]: tensor<?xindex> {pith.name = "w", pith.storage = "0.coordinates[1]"},
// CHECK-SAME:     %[[nm:.*]]: tensor<?xi8> {pith.name = "w", pith.storage = "0.coordinates[2]"},
// CHECK-SAME:     %[[val:.*]]: tensor<?xf64> {pith.name = "w", pith.storage = "0.values"},
// CHECK-SAME:     %[[rows:.*]]: index {pith.name = "w", pith.storage = "0.size[0]"})
// CHECK-NEXT:    "pith.assemble"(%[[pos]], %[[crd]], %[[nm]], %[[val]], %[[rows]])
func.func @dynamic(%w: tensor<?x16xf64, #fmt> {pith.name = "w"}) -> tensor<?x16xf64> {
  %d = "pith.decompress"(%w) : (tensor<?x16xf64, #fmt>) -> tensor<?x16xf64>
  return %d : tensor<?x16xf64>
}

// -----

// Encoded results leave as their buffers, again with the sizes that are not in the type.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: func.func @result
// CHECK-SAME:    -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>, index)
// CHECK:         %[[c:.*]] = "pith.compress"
// CHECK:         %[[b:.*]]:3 = "pith.disassemble"(%[[c]])
// CHECK:         %[[n:.*]] = tensor.dim %[[c]]
// CHECK:         return %[[b]]#0, %[[b]]#1, %[[b]]#2, %[[n]]
func.func @result(%x: tensor<?x16xf32>) -> tensor<?x16xf32, #csr> {
  %c = "pith.compress"(%x) : (tensor<?x16xf32>) -> tensor<?x16xf32, #csr>
  return %c : tensor<?x16xf32, #csr>
}

// -----

// Functions without encoded types stay as they are.

// CHECK-LABEL: func.func @plain
// CHECK-SAME:    (%{{.*}}: tensor<4xf32>) -> tensor<4xf32>
func.func @plain(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
