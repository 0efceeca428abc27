// RUN: pith-opt %s --pass-pipeline="builtin.module(pith-share-loops)" | filecheck %s

// Loops that differ in captured values only are calls of one function: constants inside, everything else passed.
// CHECK-LABEL: func.func @twice
// CHECK-SAME:    %[[X:.*]]: memref<?xf32>, %[[Y:.*]]: memref<?xf32>, %[[N:.*]]: index, %[[M:.*]]: index
// CHECK-NOT:     scf.parallel
// CHECK:         call @twice_loop0(%[[N]], %[[X]]) : (index, memref<?xf32>) -> ()
// CHECK:         call @twice_loop0(%[[M]], %[[Y]]) : (index, memref<?xf32>) -> ()
func.func @twice(%x: memref<?xf32>, %y: memref<?xf32>, %n: index, %m: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %two = arith.constant 2.0 : f32
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %two : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  scf.parallel (%i) = (%c0) to (%m) step (%c1) {
    %v = memref.load %y[%i] : memref<?xf32>
    %w = arith.mulf %v, %two : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }
  return
}

// Other operands, another constant, another type, another op, a captured value in another place: nothing is shared.
// CHECK-LABEL: func.func @different
// CHECK-COUNT-6: scf.parallel
func.func @different(%x: memref<?xf32>, %y: memref<?xf32>, %z: memref<8xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %two = arith.constant 2.0 : f32
  %three = arith.constant 3.0 : f32
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %two : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %three : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %z[%i] : memref<8xf32>
    %w = arith.mulf %v, %two : f32
    memref.store %w, %z[%i] : memref<8xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.addf %v, %two : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %two : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %two fastmath<contract> : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  return
}

// A loop that is apart becomes a function that is not inlined, the one around it stays.
// CHECK-LABEL: func.func @apart
// CHECK:         scf.parallel (%[[I:.*]]) =
// CHECK-NEXT:      func.call @apart_part0(%{{.*}}, %[[I]]) : (memref<?xf32>, index) -> ()
// CHECK-NOT:       scf.for
func.func @apart(%x: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    scf.for %j = %c0 to %c4 step %c1 {
      %v = memref.load %x[%j] : memref<?xf32>
      memref.store %v, %x[%i] : memref<?xf32>
    } {pith.apart}
  }
  return
}

// CHECK:      func.func private @twice_loop0(%[[N:.*]]: index, %[[X:.*]]: memref<?xf32>) {
// CHECK-DAG:    %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:    %[[C1:.*]] = arith.constant 1 : index
// CHECK-DAG:    %[[TWO:.*]] = arith.constant 2.000000e+00 : f32
// CHECK:        scf.parallel (%[[I:.*]]) = (%[[C0]]) to (%[[N]]) step (%[[C1]])
// CHECK:          %[[V:.*]] = memref.load %[[X]][%[[I]]]
// CHECK:          arith.mulf %[[V]], %[[TWO]]
// CHECK:        return
// CHECK:      func.func private @apart_part0(%[[X:.*]]: memref<?xf32>, %[[I:.*]]: index) attributes {passthrough = ["noinline"]} {
// CHECK-DAG:    %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:    %[[C4:.*]] = arith.constant 4 : index
// CHECK:        scf.for %[[J:.*]] = %[[C0]] to %[[C4]]
// CHECK:          memref.load %[[X]][%[[J]]]
// CHECK:          memref.store %{{.*}}, %[[X]][%[[I]]]
// CHECK-NOT:  func.func private
