// RUN: pith-opt --convert-pith-to-loops --cse %s | filecheck %s

// Groups of 2 rows list their columns together, each with a mask of the rows that have it. Packers put entries with the
// same mask side by side, so the loop over a run of them knows which rows multiply the panel's row that it loads once.

#masked = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 2, d1, d0 mod 2)>,
                       [#pith.level<"dense">, #pith.level<"compressed(nonordered)">, #pith.level<"bitmask">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @groups_of_rows
// CHECK-DAG:     %[[bits:.*]] = bufferization.to_buffer {{.*}} : tensor<?xi8> to memref<?xi8
// CHECK-DAG:     %[[values:.*]] = bufferization.to_buffer {{.*}} : tensor<?xf32> to memref<?xf32

// Until all entries of the group are visited: where the first value of the next one is, and a sum per row.
// CHECK:         scf.while {{.*}} : (index, index, vector<32xf32>, vector<32xf32>)

// The end of a run: 64 masks at once are compared, the last ones of the buffer one by one.
// CHECK:           scf.while
// CHECK:             %[[masks:.*]] = vector.load %[[bits]]{{.*}} vector<64xi8>
// CHECK:             arith.cmpi ne, %[[masks]]
// CHECK:             math.cttz
// CHECK:           scf.while
// CHECK:             memref.load %[[bits]]

// Entries of no row multiply nothing.
// CHECK:           scf.for
// CHECK-NOT:         vector.fma

// Row 0, row 1, both.
// CHECK:           scf.for
// CHECK-COUNT-1:     vector.fma
// CHECK-NOT:         vector.fma
// CHECK:           scf.for
// CHECK-COUNT-1:     vector.fma
// CHECK-NOT:         vector.fma
// CHECK:           scf.for
// CHECK:             %[[row:.*]] = vector.load {{.*}} memref<?x?x32xf32>, vector<32xf32>
// CHECK:             memref.load %[[values]]
// CHECK:             vector.fma %{{.*}}, %[[row]]
// CHECK:             memref.load %[[values]]
// CHECK:             vector.fma %{{.*}}, %[[row]]
// CHECK-NOT:         vector.fma
module attributes {pith.isa = "avx2"} {
func.func @groups_of_rows(%p1: tensor<?xi32>, %c1: tensor<?xi32>, %p2: tensor<?xi32>, %bits: tensor<?xi8>,
                          %val: tensor<?xf32>, %rows: index, %cols: index, %x: tensor<?x?xf32>,
                          %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %A = "pith.assemble"(%p1, %p2, %c1, %bits, %val, %rows, %cols)
      {operandSegmentSizes = array<i32: 2, 1, 1, 1, 2>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi8>, tensor<?xf32>, index, index)
      -> tensor<?x?xf32, #masked>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x?xf32, #masked>, tensor<?x?xf32>) outs(%y : tensor<?x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
}
