// A pattern becomes the list of its coordinates; its extent is the count.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --canonicalize --cse | filecheck %s
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --one-shot-bufferize=bufferize-function-boundaries=true --canonicalize | filecheck %s --check-prefix=BUFFERS

// One flag per micro-tile, then one list: two allocations, no copies.
// BUFFERS-LABEL: func.func @blocks
// BUFFERS: memref.alloc() {{.*}} : memref<4x3xi8>
// BUFFERS: memref.alloc() {{.*}} : memref<12x2xi32>
// BUFFERS-NOT: memref.alloc
// BUFFERS-NOT: memref.copy
// BUFFERS: return

// Blocks of 2x4 of a 7x10 tensor: the edge blocks are cut.
// CHECK-LABEL: func.func @blocks
// CHECK-SAME:  (%[[X:.*]]: tensor<7x10xf32>) -> tensor<?x2xi32>
// CHECK:       scf.for %[[I:.*]] = %{{.*}} to %c4
// CHECK:         arith.minui
// CHECK:         scf.for
// CHECK:           scf.for %[[J:.*]] = %{{.*}} to %c3
// CHECK:             tensor.extract %{{.*}}[%[[I]], %[[J]]] : tensor<4x3xi8>
// CHECK:             scf.for
// CHECK:               %[[E:.*]] = tensor.extract %[[X]]
// CHECK:               %[[ABS:.*]] = math.absf %[[E]]
// CHECK:               arith.cmpf ugt, %[[ABS]]
// CHECK:             tensor.insert %{{.*}} into %{{.*}}[%[[I]], %[[J]]] : tensor<4x3xi8>
// CHECK:       %[[LIST:.*]]:2 = scf.for
// CHECK:       %[[OUT:.*]] = tensor.extract_slice %[[LIST]]#0[0, 0] [%[[LIST]]#1, 2] [1, 1] : tensor<12x2xi32> to tensor<?x2xi32>
// CHECK:       return %[[OUT]]
func.func @blocks(%x: tensor<7x10xf32>) -> !pith.pattern<[7, 10], [2, 4]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 2, 4>, threshold = 0.0 : f64}
      : (tensor<7x10xf32>) -> !pith.pattern<[7, 10], [2, 4]>
  return %p : !pith.pattern<[7, 10], [2, 4]>
}

// Rows: a row's verdict stays in a register; 2.5 is 2 to an integer, whose magnitude is unsigned.
// CHECK-LABEL: func.func @rows
// CHECK-SAME:  -> tensor<?xi32>
// CHECK-DAG:   %[[TWO:.*]] = arith.constant 2 : i32
// CHECK:       scf.for %{{.*}} iter_args(%{{.*}} = %{{.*}}) -> (i1)
// CHECK:         %[[MAGNITUDE:.*]] = math.absi
// CHECK:         arith.cmpi ugt, %[[MAGNITUDE]], %[[TWO]]
func.func @rows(%x: tensor<?x8xi32>) -> !pith.pattern<[-1], [1]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 2.5 : f64}
      : (tensor<?x8xi32>) -> !pith.pattern<[-1], [1]>
  return %p : !pith.pattern<[-1], [1]>
}

// Patterns that callees, branches and loops pass on follow.
// CHECK-LABEL: func.func private @callee
// CHECK-SAME:  (tensor<?xi32>) -> tensor<?xi32>
func.func private @callee(!pith.pattern<[8], [2]>) -> !pith.pattern<[8], [2]>
// CHECK-LABEL: func.func @passed_on
// CHECK-SAME:  (%[[P:.*]]: tensor<?xi32>, %[[C:.*]]: i1) -> tensor<?xi32>
// CHECK:       %[[Q:.*]] = call @callee(%[[P]]) : (tensor<?xi32>) -> tensor<?xi32>
// CHECK:       %[[R:.*]] = arith.select %[[C]], %[[P]], %[[Q]] : tensor<?xi32>
// CHECK:       return %[[R]] : tensor<?xi32>
func.func @passed_on(%p: !pith.pattern<[8], [2]>, %c: i1) -> !pith.pattern<[8], [2]> {
  %q = call @callee(%p) : (!pith.pattern<[8], [2]>) -> !pith.pattern<[8], [2]>
  %r = scf.if %c -> (!pith.pattern<[8], [2]>) {
    scf.yield %p : !pith.pattern<[8], [2]>
  } else {
    scf.yield %q : !pith.pattern<[8], [2]>
  }
  return %r : !pith.pattern<[8], [2]>
}
