// RUN: pith-opt --convert-pith-to-loops --canonicalize --cse %s | filecheck %s
// RUN: sed -e 's/"amx"/"avx2"/' %s | pith-opt --convert-pith-to-loops | filecheck %s --check-prefix=NONE

// An int8 product with 1 of 4 elements stored: load sparse, compute dense. Each task expands 32 rows into
// two rows of tiles. A row of a tile has 64 contracted coordinates: 16 groups, with 16 values and 4 bytes
// of coordinates. Every lane takes the value of its group where its place is the group's coordinate: the
// byte that holds it, the coordinate's bits of that, compared with constants. The loop over the tiles then
// holds 32 x 32 sums in four tile registers. Groups of four contracted coordinates of the dense operand
// are packed beside each other.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "amx"} {
  // CHECK-LABEL: func.func @groups
  // CHECK-SAME:    (%[[crd:[a-z0-9]+]]: tensor<?xi8>, %[[val:[a-z0-9]+]]: tensor<?xi8>,
  // CHECK:         memref.alloc() {alignment = 64 : i64} : memref<2x48x64xi8>
  // CHECK:         scf.parallel
  // CHECK:         scf.parallel
  // CHECK:           %[[tiles:.*]] = memref.alloc() {alignment = 64 : i64} : memref<2x3x16x64xi8>
  // CHECK:           %[[v:.*]] = vector.load {{.*}} vector<16xi8>
  // CHECK:           %[[c:.*]] = vector.load {{.*}} vector<4xi8>
  // CHECK:           %[[spread:.*]] = vector.shuffle %[[v]], %{{.*}} [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2,
  // CHECK:           %[[bytes:.*]] = vector.shuffle %[[c]], %{{.*}} [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
  // CHECK:           %[[bits:.*]] = arith.andi %[[bytes]],
  // CHECK:           %[[own:.*]] = arith.cmpi eq, %[[bits]],
  // CHECK:           %[[row:.*]] = arith.select %[[own]], %[[spread]],
  // CHECK:           vector.store %[[row]], %[[tiles]]
  // CHECK:           scf.for {{.*}} -> (!x86.amx.tile<16x16xi32>, !x86.amx.tile<16x16xi32>, !x86.amx.tile<16x16xi32>, !x86.amx.tile<16x16xi32>)
  // CHECK:             %[[a0:.*]] = x86.amx.tile_load %[[tiles]]
  // CHECK:             %[[a1:.*]] = x86.amx.tile_load %[[tiles]]
  // CHECK:             %[[b0:.*]] = x86.amx.tile_load
  // CHECK-NEXT:        x86.amx.tile_muli %[[a0]], %[[b0]]
  // CHECK-NEXT:        x86.amx.tile_muli %[[a1]], %[[b0]]
  // CHECK:             %[[b1:.*]] = x86.amx.tile_load
  // CHECK-NEXT:        x86.amx.tile_muli %[[a0]], %[[b1]]
  // CHECK-NEXT:        x86.amx.tile_muli %[[a1]], %[[b1]]

  // NONE-LABEL: func.func @groups
  // NONE-NOT:     x86.amx
  func.func @groups(%crd: tensor<?xi8>, %val: tensor<?xi8>, %x: tensor<192x32xi8>, %y: tensor<64x32xi32>)
      -> tensor<64x32xi32> {
    %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
        : (tensor<?xi8>, tensor<?xi8>) -> tensor<64x192xi8, #nm>
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%A, %x : tensor<64x192xi8, #nm>, tensor<192x32xi8>) outs(%y : tensor<64x32xi32>) {
    ^bb0(%v: i8, %w: i8, %s: i32):
      %v1 = arith.extsi %v : i8 to i32
      %w1 = arith.extsi %w : i8 to i32
      %p = arith.muli %v1, %w1 : i32
      %t = arith.addi %s, %p : i32
      linalg.yield %t : i32
    } -> tensor<64x32xi32>
    return %r : tensor<64x32xi32>
  }
}
