// Patterns made of patterns, of lengths, of routing indices and of scores, and samples of tensors.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --canonicalize --cse | filecheck %s

// Both operands become bitmaps (a word per 64 cells of a row of the grid), which are combined word by word.
// CHECK-LABEL: func.func @union
// CHECK-SAME:  (%[[P:.*]]: tensor<?x2xi32>, %[[Q:.*]]: tensor<?x2xi32>)
// CHECK:       %[[A:.*]] = memref.alloc() {{.*}} : memref<20xi64>
// CHECK:       scf.parallel
// CHECK:         arith.cmpi ult, %{{.*}}, %c10
// CHECK:         memref.atomic_rmw ori %{{.*}}, %[[A]]
// CHECK:       %[[B:.*]] = memref.alloc() {{.*}} : memref<20xi64>
// CHECK:         memref.atomic_rmw ori %{{.*}}, %[[B]]
// CHECK:       memref.load %[[A]]
// CHECK:       memref.load %[[B]]
// CHECK:       arith.ori
// CHECK:       math.cttz
func.func @union(%p: !pith.pattern<[20, 100], [2, 1]>, %q: !pith.pattern<[20, 100], [2, 1]>)
    -> !pith.pattern<[20, 100], [2, 1]> {
  %r = "pith.union"(%p, %q) : (!pith.pattern<[20, 100], [2, 1]>, !pith.pattern<[20, 100], [2, 1]>)
    -> !pith.pattern<[20, 100], [2, 1]>
  return %r : !pith.pattern<[20, 100], [2, 1]>
}

// The bits past the last cell of a row stay clear.
// CHECK-LABEL: func.func @complement
// CHECK-SAME:  (%[[P:.*]]: tensor<?xi32>, %[[N:.*]]: index)
// CHECK:       arith.ceildivui %[[N]], %c32
// CHECK:       %[[NOT:.*]] = arith.xori %{{.*}}, %c-1_i64
// CHECK:       arith.andi %[[NOT]]
func.func @complement(%p: !pith.pattern<[-1], [32]>, %n: index) -> !pith.pattern<[-1], [32]> {
  %r = "pith.complement"(%p, %n) : (!pith.pattern<[-1], [32]>, index) -> !pith.pattern<[-1], [32]>
  return %r : !pith.pattern<[-1], [32]>
}

// A prefix sum over the sequences, then every sequence on its own.
// CHECK-LABEL: func.func @lengths
// CHECK:       %[[TOTAL:.*]] = scf.for
// CHECK:         arith.maxsi
// CHECK:         arith.minsi
// CHECK:         arith.ceildivui %{{.*}}, %c4
// CHECK:       arith.muli %[[TOTAL]], %c2
// CHECK:       scf.parallel
func.func @lengths(%l: tensor<16xi64>, %n: index) -> !pith.pattern<[16, -1], [1, 4]> {
  %r = "pith.from_lengths"(%l, %n) : (tensor<16xi64>, index) -> !pith.pattern<[16, -1], [1, 4]>
  return %r : !pith.pattern<[16, -1], [1, 4]>
}

// CHECK-LABEL: func.func @routing
// CHECK:       memref.alloc() {{.*}} : memref<256xi32>
// CHECK:       scf.parallel (%[[T:.*]]) =
// CHECK:         scf.for %{{.*}} = %{{.*}} to %c2
// CHECK:           arith.minui %{{.*}}, %c4294967295_i64
func.func @routing(%e: tensor<64x2xi64>) -> !pith.pattern<[64, 8], [1, 1]> {
  %r = "pith.from_routing"(%e) : (tensor<64x2xi64>) -> !pith.pattern<[64, 8], [1, 1]>
  return %r : !pith.pattern<[64, 8], [1, 1]>
}

// Per row: halve the range of keys until k are above, counting by words; then list the words' bits.
// CHECK-LABEL: func.func @topk
// CHECK:       scf.parallel
// CHECK:         scf.while
// CHECK:           vector.load %{{.*}} : memref<8x128xf32>, vector<64xf32>
// CHECK:           arith.cmpi sge
// CHECK:           math.ctpop
// CHECK:         arith.cmpi sgt
// CHECK:         arith.cmpi eq
// CHECK:         math.cttz
func.func @topk(%s: tensor<8x128xf32>, %k: index) -> !pith.pattern<[8, 128], [1, 1]> {
  %r = "pith.topk"(%s, %k) : (tensor<8x128xf32>, index) -> !pith.pattern<[8, 128], [1, 1]>
  return %r : !pith.pattern<[8, 128], [1, 1]>
}

// Windows of 32 words; a candidate's columns are or-ed by shifts of all words at once.
// CHECK-LABEL: func.func @sample
// CHECK:       scf.for
// CHECK:         vector.load %{{.*}} : memref<512x512xf32>, vector<64xf32>
// CHECK:         arith.shrui %{{.*}} : vector<32xi64>
// CHECK:         vector.reduction <add>
// CHECK:       arith.divf
func.func @sample(%x: tensor<512x512xf32>, %t: tensor<4x2xi32>, %l: f64, %n: index) -> tensor<4xf64> {
  %s = "pith.sample"(%x, %t, %l, %n) : (tensor<512x512xf32>, tensor<4x2xi32>, f64, index) -> tensor<4xf64>
  return %s : tensor<4xf64>
}
