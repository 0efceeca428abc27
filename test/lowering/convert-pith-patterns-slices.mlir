// sread and swrite: one slice per micro-tile, copied in place.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --cse | filecheck %s
// RUN: pith-opt %s --convert-pith-patterns-to-linalg=check=true --cse | filecheck %s --check-prefix=CHECKED

// CHECK-LABEL: func.func @read
// CHECK-SAME:  (%[[X:.*]]: tensor<17x5xf32>, %[[P:.*]]: tensor<?xi32>) -> tensor<?x5xf32>
// CHECK:       %[[COUNT:.*]] = tensor.dim %[[P]]
// CHECK:       %[[ROWS:.*]] = arith.muli %[[COUNT]], %c4
// CHECK:       linalg.fill {{.*}} outs(%{{.*}} : tensor<?x5xf32>)
// CHECK:       scf.for %[[I:.*]] = %{{.*}} to %[[COUNT]]
// CHECK:         %[[RAW:.*]] = tensor.extract %[[P]][%[[I]]]
// CHECK:         %[[COORDINATE:.*]] = arith.index_castui %[[RAW]]
// CHECK:         %[[ROW:.*]] = arith.muli %[[COORDINATE]], %c4
// CHECK:         %[[START:.*]] = arith.minui %[[ROW]], %c17
// CHECK:         %[[LEFT:.*]] = arith.subi %c17, %[[START]]
// CHECK:         %[[SIZE:.*]] = arith.minui %c4{{.*}}, %[[LEFT]]
// CHECK:         tensor.extract_slice %[[X]][%[[START]], 0] [%[[SIZE]], 5]
// CHECK:         linalg.generic
// CHECK:         tensor.insert_slice
// Micro-tiles are checked to be on the grid and listed once.
// CHECKED-LABEL: func.func @read
// CHECKED:       tensor.empty() : tensor<5xi8>
// CHECKED:       cf.assert %{{.*}}, "pith.pattern: coordinate of axis 0 is out of range"
// CHECKED:       cf.assert %{{.*}}, "pith.pattern: a micro-tile is listed twice"
func.func @read(%x: tensor<17x5xf32>, %p: !pith.pattern<[17], [4]>) -> tensor<?x5xf32> {
  %t = "pith.sread"(%x, %p) {dims = array<i64: 0>} : (tensor<17x5xf32>, !pith.pattern<[17], [4]>) -> tensor<?x5xf32>
  return %t : tensor<?x5xf32>
}

// CHECK-LABEL: func.func @write
// CHECK:       scf.for %{{.*}} iter_args(%[[D:.*]] = %{{.*}}) -> (tensor<17x5xf32>)
// CHECK:         linalg.generic
// CHECK-NEXT:    ^bb0(%[[NEW:.*]]: f32, %[[OLD:.*]]: f32):
// CHECK-NEXT:      linalg.yield %[[NEW]]
// CHECK:         tensor.insert_slice %{{.*}} into %[[D]]
func.func @write(%t: tensor<?x5xf32>, %p: !pith.pattern<[17], [4]>, %d: tensor<17x5xf32>) -> tensor<17x5xf32> {
  %r = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false}
      : (tensor<?x5xf32>, !pith.pattern<[17], [4]>, tensor<17x5xf32>) -> tensor<17x5xf32>
  return %r : tensor<17x5xf32>
}

// Row sets that differ per block of the other axis meet, so they add up.
// CHECK-LABEL: func.func @accumulate
// CHECK:         ^bb0(%[[NEW:.*]]: f32, %[[OLD:.*]]: f32):
// CHECK-NEXT:      %[[SUM:.*]] = arith.addf %[[NEW]], %[[OLD]]
// CHECK-NEXT:      linalg.yield %[[SUM]]
func.func @accumulate(%t: tensor<?x5xf32>, %p: !pith.pattern<[17, 8], [4, 1]>, %d: tensor<17x5xf32>) -> tensor<17x5xf32> {
  %r = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0, -1>, accumulate = true}
      : (tensor<?x5xf32>, !pith.pattern<[17, 8], [4, 1]>, tensor<17x5xf32>) -> tensor<17x5xf32>
  return %r : tensor<17x5xf32>
}
