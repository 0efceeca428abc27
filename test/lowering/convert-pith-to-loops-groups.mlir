// RUN: pith-opt --convert-pith-to-loops --canonicalize --cse %s | filecheck %s

// Groups that lie side by side are unpacked a register at a time: nothing is cleared before, and nothing depends on data.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

module attributes {pith.isa = "avx512"} {
// CHECK-LABEL: func.func @unpack
// CHECK:         scf.parallel
// CHECK:           scf.for {{.*}} step %c4
// Eight values and their coordinates make sixteen elements.
// CHECK:             %[[values:.*]] = vector.load {{.*}} vector<8xf32>
// CHECK:             vector.load {{.*}} vector<2xi8>
// CHECK:             %[[word:.*]] = vector.broadcast {{.*}} vector<16xi32>
// The first of each group, where its coordinate says ...
// CHECK:             %[[at:.*]] = arith.shrui %[[word]], %{{.*}}
// CHECK:             %[[lane:.*]] = arith.andi %[[at]]
// CHECK:             %[[here:.*]] = arith.cmpi eq, %[[lane]]
// CHECK:             %[[x:.*]] = vector.shuffle %[[values]], {{.*}} [0, 0, 0, 0, 2, 2, 2, 2,
// CHECK:             %[[some:.*]] = arith.select %[[here]], %[[x]], %{{.*}}
// ... and the second over it.
// CHECK:             vector.shuffle %[[values]], {{.*}} [1, 1, 1, 1, 3, 3, 3, 3,
// CHECK:             %[[all:.*]] = arith.select %{{.*}}, %{{.*}}, %[[some]]
// CHECK:             vector.store %[[all]]
// What is left of the row is cleared, and written one by one.
// CHECK:           scf.for
// CHECK:             memref.store
func.func @unpack(%crd: tensor<?xi8>, %val: tensor<?xf32>) -> tensor<64x72xf32> {
  %a = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x72xf32, #nm>
  %d = "pith.decompress"(%a) : (tensor<64x72xf32, #nm>) -> tensor<64x72xf32>
  return %d : tensor<64x72xf32>
}
}
