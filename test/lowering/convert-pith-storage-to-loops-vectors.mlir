// RUN: pith-opt --convert-pith-storage-to-loops --canonicalize --cse %s | filecheck %s

// With AVX-512, neighbouring groups are packed a vector at a time: 64 elements take four of them.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

module attributes {pith.isa = "avx512"} {
// CHECK-LABEL: func.func @pack
// CHECK-SAME:    (%[[w:.*]]: tensor<64x?xf32>)
// Coordinates are written dword by dword, so nothing is cleared.
// CHECK-NOT:     linalg.fill
// CHECK:         scf.parallel
// CHECK:           scf.for %[[row:[^ ]*]] =
// CHECK:             scf.for %[[column:.*]] = %c0 to %{{.*}} step %c64
// Which elements differ from zero are the bits of a word ...
// CHECK:               %[[x:.*]] = vector.load %{{.*}}[%[[row]], %[[column]]{{.}} : {{.*}}, vector<16xf32>
// CHECK:               %[[found:.*]] = arith.cmpf une, %[[x]], %{{.*}} : vector<16xf32>
// CHECK:               vector.bitcast %[[found]] : vector<16xi1> to vector<1xi16>
// CHECK-COUNT-3:       vector.load {{.*}} vector<16xf32>
// ... arithmetic on which fills up and cuts down all 16 groups to two each: here, the first bit of those without any.
// CHECK:               %[[more:.*]] = arith.andi %{{.*}}, %[[firsts:[^ ]*]] : i64
// CHECK:               arith.xori %[[more]], %[[firsts]]
// The chosen lanes of a vector are eight values ...
// CHECK:               %[[zeroed:.*]] = arith.select %[[found]], %[[x]], %{{.*}} : vector<16xi1>, vector<16xf32>
// CHECK:               %[[packed:.*]] = "pith.compress_lanes"(%[[zeroed]], %{{.*}})
// CHECK:               %[[eight:.*]] = vector.shuffle %[[packed]], %{{.*}} [0, 1, 2, 3, 4, 5, 6, 7]
// CHECK:               vector.store %[[eight]]
// ... and their coordinates what is left of 0 1 2 3 0 1 2 3 ...: 32 bits for 32 elements.
// CHECK:               %[[two:.*]] = "pith.deposit_bits"
// CHECK:               %[[crd:.*]] = "pith.extract_bits"(%c-1953184666628070172_i64, %{{.*}})
// CHECK:               scf.if
// CHECK:                 vector.store %{{.*}} : memref<?xi8>, vector<4xi8>
// What is left of the row, a vector at a time.
// CHECK:             scf.for {{.*}} step %c16
// CHECK:               vector.maskedload
// CHECK:               vector.maskedstore
// What is left of the coordinates, a byte at a time.
// CHECK:           scf.for
// CHECK:             memref.store %{{.*}} : memref<?xi8>
func.func @pack(%w: tensor<64x?xf32>) -> tensor<64x?xf32, #nm> {
  %e = "pith.compress"(%w) : (tensor<64x?xf32>) -> tensor<64x?xf32, #nm>
  return %e : tensor<64x?xf32, #nm>
}

// New values are taken as they are read by products: sixteen by one permutation of what eight groups span, and
// those at the end of a row one by one.
// CHECK-LABEL: func.func @repack
// CHECK:         scf.parallel
// CHECK:           scf.for {{.*}} step %c8
// CHECK:             vector.load {{.*}} vector<4xi8>
// CHECK:             %[[two:.*]] = vector.load {{.*}} vector<32xf32>
// CHECK:             %[[taken:.*]] = "pith.permute"(%[[two]], %{{.*}}) : (vector<32xf32>, vector<16xi32>) -> vector<16xf32>
// CHECK:             vector.store %[[taken]]
// CHECK:           scf.for
// CHECK:             memref.store
func.func @repack(%crd: tensor<?xi8>, %old: tensor<?xf32>, %d: tensor<64x104xf32>) -> tensor<64x104xf32, #nm> {
  %a = "pith.assemble"(%crd, %old) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x104xf32, #nm>
  %r = "pith.repack"(%a, %d) : (tensor<64x104xf32, #nm>, tensor<64x104xf32>) -> tensor<64x104xf32, #nm>
  return %r : tensor<64x104xf32, #nm>
}
}
