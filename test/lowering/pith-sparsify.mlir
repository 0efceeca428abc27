// RUN: pith-opt --split-input-file --pith-sparsify %s | filecheck %s
// RUN: pith-opt --split-input-file --pith-sparsify=vl=0 %s | filecheck %s --check-prefix=SCALAR

// y = A x with A stored by rows: rows are the outermost loop, each writes elements of its own.

#csr = #sparse_tensor.encoding<{map = (d0, d1) -> (d0 : dense, d1 : compressed)}>
#a = affine_map<(i, k) -> (i, k)>
#x = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL:  func.func @rows
// CHECK:          scf.parallel
// CHECK:            vector.gather
// SCALAR-LABEL: func.func @rows
// SCALAR:         scf.parallel
// SCALAR-NOT:       vector
func.func @rows(%A: tensor<6x16xf32, #csr>, %x: tensor<16xf32>, %y: tensor<6xf32>) -> tensor<6xf32> {
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%A, %x : tensor<6x16xf32, #csr>, tensor<16xf32>) outs(%y : tensor<6xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<6xf32>
  return %r : tensor<6xf32>
}

// -----

// Stored by columns, the outermost loop is the reduction: every iteration adds to all of y, so it is serial.

#csc = #sparse_tensor.encoding<{map = (d0, d1) -> (d1 : dense, d0 : compressed)}>
#a = affine_map<(i, k) -> (i, k)>
#x = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL:  func.func @columns
// CHECK-NOT:      scf.parallel
// CHECK:          scf.for
func.func @columns(%A: tensor<6x16xf32, #csc>, %x: tensor<16xf32>, %y: tensor<6xf32>) -> tensor<6xf32> {
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%A, %x : tensor<6x16xf32, #csc>, tensor<16xf32>) outs(%y : tensor<6xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<6xf32>
  return %r : tensor<6xf32>
}

// -----

// Both loops read the memory of %t: what is made in between, of the same empty tensor, gets memory of its own.

// CHECK-LABEL:  func.func @reads
// CHECK:          %[[U:.*]] = memref.alloc
// CHECK:          %[[T:.*]] = memref.alloc
// CHECK:          linalg.map {{.*}} outs(%[[T]]
// CHECK:          memref.load %[[T]]
// CHECK:          linalg.map {{.*}} outs(%[[U]]
// CHECK:          memref.load %[[T]]
// CHECK-NEXT:     memref.load %[[U]]
func.func @reads(%a: tensor<4xf32>, %b: tensor<4xf32>, %out: memref<4x2xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %empty = tensor.empty() : tensor<4xf32>
  %t = linalg.map { arith.negf } ins(%a : tensor<4xf32>) outs(%empty : tensor<4xf32>)
  %read = bufferization.to_buffer %t read_only : tensor<4xf32> to memref<4xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    %v = memref.load %read[%i] : memref<4xf32>
    memref.store %v, %out[%i, %c0] : memref<4x2xf32>
  }
  %u = linalg.map { math.absf } ins(%b : tensor<4xf32>) outs(%empty : tensor<4xf32>)
  %other = bufferization.to_buffer %u read_only : tensor<4xf32> to memref<4xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    %v = memref.load %read[%i] : memref<4xf32>
    %w = memref.load %other[%i] : memref<4xf32>
    %s = arith.addf %v, %w : f32
    memref.store %s, %out[%i, %c1] : memref<4x2xf32>
  }
  return
}
