// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s
// RUN: pith-opt --split-input-file --convert-pith-to-loops=templates=panel %s | filecheck %s --check-prefix=PANEL

// A matrix product of f32 takes the generator of products (convert-pith-to-loops-panel.mlir shows its code).

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 8, (d1 floordiv 4) mod 2, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 2>, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @panel
// CHECK:         memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x16x{{.*}}xf32>
// Pack:
// CHECK:         call @pith_expect_work
// CHECK:         scf.parallel
// CHECK:         scf.reduce
// Multiply: one task per panel and chunk of 64 rows.
// CHECK:         call @pith_expect_work
// CHECK:         scf.parallel
// CHECK:           memref.alloca()
// CHECK:           vector.fma
// CHECK:         bufferization.to_tensor
// CHECK-NOT:     pith.

// PANEL-LABEL: func.func @panel
// PANEL:         vector.fma
func.func @panel(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %rows: index,
                 %x: tensor<16x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %A = "pith.assemble"(%c1, %c0, %val, %rows) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 1>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>, index) -> tensor<?x16xf32, #hss>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x16xf32, #hss>, tensor<16x?xf32>) outs(%y : tensor<?x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// -----

// Everything else takes the scalar template: a walk over the levels, the other loops inside, the body
// once. Here a matrix-vector product over a bitmask with sums of 16 bits: rows in parallel, and a loop over the bits of
// a word that are set, which carries those that are left and a counter of the stored elements.

#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 32, 0, 0>
#a = affine_map<(i, k) -> (i, k)>
#x = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL: func.func @scalar
// CHECK:         scf.parallel (%[[i:[a-z0-9]+]]) =
// CHECK:           %[[word:.*]] = scf.for
// CHECK:             arith.shli
// CHECK:           math.ctpop %[[word]]
// CHECK:           scf.for {{.*}} iter_args(%[[rest:[a-z0-9]+]] = %[[word]], %[[q:[a-z0-9]+]] =
// CHECK:             %[[bit:.*]] = math.cttz %[[rest]]
// CHECK:             %[[k:.*]] = arith.index_castui %[[bit]]
// CHECK:             memref.load %{{.*}}[%[[q]]]
// CHECK:             memref.load %{{.*}}[%[[k]]]
// CHECK:             memref.load %{{.*}}[%[[i]]]
// CHECK:             arith.muli
// CHECK:             arith.addi
// CHECK:             memref.store %{{.*}}[%[[i]]]
// CHECK:             arith.andi %[[rest]]

// With templates=panel such ops are left for others.

// PANEL-LABEL: func.func @scalar
// PANEL:         "pith.assemble"
// PANEL:         linalg.generic
func.func @scalar(%pos: tensor<?xi32>, %bits: tensor<?xi8>, %val: tensor<?xi16>,
                  %x: tensor<16xi16>, %y: tensor<8xi16>) -> tensor<8xi16> {
  %A = "pith.assemble"(%pos, %bits, %val) {operandSegmentSizes = array<i32: 1, 0, 1, 1, 0>}
      : (tensor<?xi32>, tensor<?xi8>, tensor<?xi16>) -> tensor<8x16xi16, #bits>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%A, %x : tensor<8x16xi16, #bits>, tensor<16xi16>) outs(%y : tensor<8xi16>) {
  ^bb0(%v: i16, %w: i16, %s: i16):
    %p = arith.muli %v, %w : i16
    %t = arith.addi %s, %p : i16
    linalg.yield %t : i16
  } -> tensor<8xi16>
  return %r : tensor<8xi16>
}

// -----

// Columns first: they cannot run in parallel, for each adds to all rows.

#csc = #pith.format<affine_map<(d0, d1) -> (d1, d0)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#a = affine_map<(i, k) -> (i, k)>
#x = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL: func.func @serial
// CHECK-NOT:     scf.parallel
// CHECK:         scf.for %[[k:[a-z0-9]+]] =
// CHECK:           scf.for
func.func @serial(%pos: tensor<?xindex>, %crd: tensor<?xindex>, %val: tensor<?xi16>,
                  %x: tensor<16xi16>, %y: tensor<8xi16>) -> tensor<8xi16> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xindex>, tensor<?xindex>, tensor<?xi16>) -> tensor<8x16xi16, #csc>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%A, %x : tensor<8x16xi16, #csc>, tensor<16xi16>) outs(%y : tensor<8xi16>) {
  ^bb0(%v: i16, %w: i16, %s: i16):
    %p = arith.muli %v, %w : i16
    %t = arith.addi %s, %p : i16
    linalg.yield %t : i16
  } -> tensor<8xi16>
  return %r : tensor<8xi16>
}

// -----

// An op that zeros count in reads an unpacked copy: threads share its rows, clear each and write what is stored there.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @zeros_count
// CHECK:         %[[copy:.*]] = memref.alloc() {alignment = 64 : i64} : memref<8x16xf32>
// CHECK:         %[[flat:.*]] = memref.collapse_shape %[[copy]]
// CHECK:         scf.parallel (%[[row:.*]]) = (%c0
// CHECK:           vector.store %{{.*}}, %[[flat]]
// CHECK:           memref.store %{{.*}}, %[[copy]][%[[row]], %{{.*}}]
// CHECK:           scf.reduce
// CHECK:         %[[dense:.*]] = bufferization.to_tensor %[[copy]]
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[dense]] : tensor<8x16xf32>)
// CHECK:           math.exp
func.func @zeros_count(%pos: tensor<?xindex>, %crd: tensor<?xindex>, %val: tensor<?xf32>,
                       %y: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xindex>, tensor<?xindex>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%A : tensor<8x16xf32, #csr>) outs(%y : tensor<8x16xf32>) {
  ^bb0(%v: f32, %s: f32):
    %e = math.exp %v : f32
    linalg.yield %e : f32
  } -> tensor<8x16xf32>
  return %r : tensor<8x16xf32>
}

// -----

// Where elements may be stored twice, or rows have no order, a zero fill comes first, and what is stored is added.

#coo = #pith.format<affine_map<(d0, d1) -> (d0, d1)>,
                    [#pith.level<"compressed(nonunique)">, #pith.level<"singleton(nonunique)">], 0, 0, 0>

// CHECK-LABEL: func.func @twice
// CHECK:         %[[copy:.*]] = memref.alloc() {alignment = 64 : i64} : memref<8x16xf32>
// CHECK:         linalg.fill
// CHECK-SAME:      outs(%[[copy]] :
// CHECK:         %[[old:.*]] = memref.load %[[copy]]
// CHECK:         %[[sum:.*]] = arith.addf %[[old]], %{{.*}} : f32
// CHECK:         memref.store %[[sum]], %[[copy]]
func.func @twice(%pos: tensor<?xindex>, %i: tensor<?xindex>, %j: tensor<?xindex>, %val: tensor<?xf32>)
    -> tensor<8x16xf32> {
  %A = "pith.assemble"(%pos, %i, %j, %val) {operandSegmentSizes = array<i32: 1, 2, 0, 1, 0>}
      : (tensor<?xindex>, tensor<?xindex>, tensor<?xindex>, tensor<?xf32>) -> tensor<8x16xf32, #coo>
  %r = "pith.decompress"(%A) : (tensor<8x16xf32, #coo>) -> tensor<8x16xf32>
  return %r : tensor<8x16xf32>
}

// -----

// Two ops that overwrite one undefined tensor get a buffer each: nothing else would keep them apart.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @shared_destination
// CHECK:         %[[first:.*]] = memref.alloc() {alignment = 64 : i64} : memref<8x16xf32>
// CHECK:         linalg.fill {{.*}} outs(%[[first]]
// CHECK:         %[[second:.*]] = memref.alloc() {alignment = 64 : i64} : memref<8x16xf32>
// CHECK:         linalg.fill {{.*}} outs(%[[second]]
func.func @shared_destination(%pos: tensor<?xindex>, %crd: tensor<?xindex>, %val: tensor<?xf32>)
    -> (tensor<8x16xf32>, tensor<8x16xf32>) {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xindex>, tensor<?xindex>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  %e = tensor.empty() : tensor<8x16xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%A : tensor<8x16xf32, #csr>) outs(%e : tensor<8x16xf32>) {
  ^bb0(%v: f32, %s: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  } -> tensor<8x16xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%A : tensor<8x16xf32, #csr>) outs(%e : tensor<8x16xf32>) {
  ^bb0(%v: f32, %s: f32):
    %n = arith.mulf %v, %v : f32
    linalg.yield %n : f32
  } -> tensor<8x16xf32>
  return %0, %1 : tensor<8x16xf32>, tensor<8x16xf32>
}

// -----

// A padded format stores a group of 4 at each end of a row of 6: entries beyond the edge are skipped.

#pad = #pith.padded<#pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                                 [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>

// CHECK-LABEL: func.func @padded
// CHECK-DAG:     %[[EDGE:.*]] = arith.constant 6 : index
// CHECK:         %[[IN:.*]] = arith.cmpi ult, %{{.*}}, %[[EDGE]] : index
// CHECK-NEXT:    scf.if %[[IN]] {
// CHECK:           memref.store
func.func @padded(%crd: tensor<?xi8>, %val: tensor<?xf32>) -> tensor<3x6xf32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
     : (tensor<?xi8>, tensor<?xf32>) -> tensor<3x6xf32, #pad>
  %d = "pith.decompress"(%A) : (tensor<3x6xf32, #pad>) -> tensor<3x6xf32>
  return %d : tensor<3x6xf32>
}
