// RUN: pith-opt --split-input-file --convert-pith-to-sparse-tensor %s | filecheck %s

// Formats that upstream's encodings can say become #sparse_tensor.encoding; what they cannot say is left as it is.

// CSR: the map and the levels say the same in both worlds; so do the widths.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 16, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK: #[[CSR:.*]] = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed), posWidth = 32, crdWidth = 16 }>

// CHECK-LABEL: func.func @product
// CHECK-SAME:    (%[[pos:.*]]: tensor<?xi32>, %[[crd:.*]]: tensor<?xi16>, %[[val:.*]]: tensor<?xf32>,
// CHECK:         %[[A:.*]] = sparse_tensor.assemble (%[[pos]], %[[crd]]), %[[val]]
// CHECK-SAME:      to tensor<8x16xf32, #[[CSR]]>
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[A]], %{{.*}} : tensor<8x16xf32, #[[CSR]]>, tensor<16x4xf32>)
func.func @product(%pos: tensor<?xi32>, %crd: tensor<?xi16>, %val: tensor<?xf32>,
                   %x: tensor<16x4xf32>, %y: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi16>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<8x16xf32, #csr>, tensor<16x4xf32>) outs(%y : tensor<8x4xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<8x4xf32>
  return %r : tensor<8x4xf32>
}

// -----

// COO: coordinates as structure of arrays. A tensor may repeat the leading coordinate, not an element.

#coo = #pith.format<affine_map<(d0, d1) -> (d0, d1)>,
                    [#pith.level<"compressed(nonunique)">, #pith.level<"singleton">], 32, 32, 0>

// CHECK: #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : compressed(nonunique), d1 : singleton(soa)),
// CHECK-LABEL: func.func @unpack
// CHECK:         sparse_tensor.convert %{{.*}} to tensor<8x16xf32>
func.func @unpack(%a: tensor<8x16xf32, #coo>) -> tensor<8x16xf32> {
  %d = "pith.decompress"(%a) : (tensor<8x16xf32, #coo>) -> tensor<8x16xf32>
  return %d : tensor<8x16xf32>
}

// -----

// BSR and flat N:M with coordinates of whole bytes. A compress becomes a conversion, too.

#bsr = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 2, d1 floordiv 4, d0 mod 2, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 8>

// CHECK-DAG: #[[BSR:.*]] = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 floordiv 2 : dense, d1 floordiv 4 : compressed, d0 mod 2 : dense, d1 mod 4 : dense) }>
// CHECK-DAG: #[[NM:.*]] = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : structured[2, 4]), crdWidth = 8 }>
// CHECK-LABEL: func.func @blocks
// CHECK-SAME:    (%{{.*}}: tensor<8x16xf32>, %{{.*}}: tensor<8x16xf32, #[[NM]]>) -> tensor<8x16xf32, #[[BSR]]>
// CHECK-NEXT:    sparse_tensor.convert
func.func @blocks(%x: tensor<8x16xf32>, %w: tensor<8x16xf32, #nm>) -> tensor<8x16xf32, #bsr> {
  %c = "pith.compress"(%x) : (tensor<8x16xf32>) -> tensor<8x16xf32, #bsr>
  return %c : tensor<8x16xf32, #bsr>
}

// -----

// What upstream cannot say stays: nm above another sparse level, sub-byte coordinates, bitmask,
// elements in several parts, and dynamic shapes.

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 8>
#packed = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                       [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 0, 0, 0>
#parts = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed(nonunique)">], 0, 0, 0>
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>

// CHECK-LABEL: func.func @kept
// CHECK-NOT:     sparse_tensor
// CHECK-COUNT-5: "pith.decompress"
func.func @kept(%a: tensor<8x16xf32, #hss>, %b: tensor<8x16xf32, #packed>, %c: tensor<8x16xf32, #bits>,
                %d: tensor<8x16xf32, #parts>, %e: tensor<?x16xf32, #csr>) {
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #hss>) -> tensor<8x16xf32>
  %1 = "pith.decompress"(%b) : (tensor<8x16xf32, #packed>) -> tensor<8x16xf32>
  %2 = "pith.decompress"(%c) : (tensor<8x16xf32, #bits>) -> tensor<8x16xf32>
  %3 = "pith.decompress"(%d) : (tensor<8x16xf32, #parts>) -> tensor<8x16xf32>
  %4 = "pith.decompress"(%e) : (tensor<?x16xf32, #csr>) -> tensor<?x16xf32>
  return
}

// -----

// In exp(a) zeros count: the operand is unpacked first, for upstream's sparsifier would give up on it.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @zeros_count
// CHECK-SAME:    (%[[a:.*]]: tensor<8x16xf32, #{{.*}}>,
// CHECK-NEXT:    %[[d:.*]] = sparse_tensor.convert %[[a]] : {{.*}} to tensor<8x16xf32>
// CHECK-NEXT:    linalg.generic
// CHECK-SAME:      ins(%[[d]] : tensor<8x16xf32>)
func.func @zeros_count(%a: tensor<8x16xf32, #csr>, %y: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<8x16xf32, #csr>) outs(%y : tensor<8x16xf32>) {
  ^bb0(%v: f32, %s: f32):
    %e = math.exp %v : f32
    linalg.yield %e : f32
  } -> tensor<8x16xf32>
  return %r : tensor<8x16xf32>
}

// -----

// Rows first and columns first have no loop order in common: the second operand is unpacked. Beside an
// operand that stays pith's, all others are.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#csc = #pith.format<affine_map<(d0, d1) -> (d1, d0)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 0, 0, 0>
#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @mixed
// CHECK-SAME:    (%[[a:.*]]: tensor<8x16xf32, #[[CSR:.*]]>, %[[b:.*]]: tensor<8x16xf32, #{{.*}}>, %[[c:.*]]: tensor<8x16xf32, #pith.format<{{.*}}>>,
// CHECK-NEXT:    %[[bd:.*]] = sparse_tensor.convert %[[b]]
// CHECK-NEXT:    linalg.generic
// CHECK-SAME:      ins(%[[a]], %[[bd]] : tensor<8x16xf32, #[[CSR]]>, tensor<8x16xf32>)
// CHECK:         %[[ad:.*]] = sparse_tensor.convert %[[a]]
// CHECK-NEXT:    linalg.generic
// CHECK-SAME:      ins(%[[ad]], %[[c]] : tensor<8x16xf32>, tensor<8x16xf32, #pith.format<{{.*}}>>)
func.func @mixed(%a: tensor<8x16xf32, #csr>, %b: tensor<8x16xf32, #csc>, %c: tensor<8x16xf32, #bits>,
                 %y: tensor<8x16xf32>) -> (tensor<8x16xf32>, tensor<8x16xf32>) {
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %b : tensor<8x16xf32, #csr>, tensor<8x16xf32, #csc>) outs(%y : tensor<8x16xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    linalg.yield %p : f32
  } -> tensor<8x16xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %c : tensor<8x16xf32, #csr>, tensor<8x16xf32, #bits>) outs(%y : tensor<8x16xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    linalg.yield %p : f32
  } -> tensor<8x16xf32>
  return %0, %1 : tensor<8x16xf32>, tensor<8x16xf32>
}

// -----

// What upstream's sparsifier leaves as it is, a loop in two places of the dense operand, reads a dense copy.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @sheared
// CHECK:         %[[d:.*]] = sparse_tensor.convert %arg0
// CHECK-NEXT:    linalg.generic
// CHECK-SAME:      ins(%[[d]], %arg1 : tensor<8x16xf32>, tensor<8x23xf32>)
func.func @sheared(%a: tensor<8x16xf32, #csr>, %x: tensor<8x23xf32>, %y: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = linalg.generic {indexing_maps = [#id, affine_map<(i, j) -> (i, i + j)>, #id],
      iterator_types = ["parallel", "parallel"]}
      ins(%a, %x : tensor<8x16xf32, #csr>, tensor<8x23xf32>) outs(%y : tensor<8x16xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    linalg.yield %p : f32
  } -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// -----

// The buffers of a tensor are upstream's own accessors.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: func.func @buffers
// CHECK-DAG:     sparse_tensor.positions %{{.*}} {level = 1 : index}
// CHECK-DAG:     sparse_tensor.coordinates %{{.*}} {level = 1 : index}
// CHECK-DAG:     sparse_tensor.values
// CHECK-NOT:     pith.disassemble
func.func @buffers(%a: tensor<8x16xf32, #csr>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) {
  %pos, %crd, %val = "pith.disassemble"(%a) {resultSegmentSizes = array<i32: 1, 1, 0, 1>}
      : (tensor<8x16xf32, #csr>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>)
  return %pos, %crd, %val : tensor<?xi32>, tensor<?xi32>, tensor<?xf32>
}
