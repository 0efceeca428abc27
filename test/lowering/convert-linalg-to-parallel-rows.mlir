// RUN: pith-opt --split-input-file --convert-linalg-to-parallel-rows --canonicalize %s | filecheck %s

// An elementwise op: rows in parallel, columns in a plain loop that LLVM can vectorise. The runtime is
// told how much work it is: small ops stay on the calling thread.

#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @double
// CHECK:         call @pith_expect_work
// CHECK-NEXT:    scf.parallel (%[[i:.*]]) =
// CHECK-NEXT:      scf.for %[[j:[a-z0-9]+]] =
// CHECK-NEXT:        %[[v:.*]] = memref.load %arg0[%[[i]], %[[j]]]
// CHECK-NEXT:        %[[d:.*]] = arith.addf %[[v]], %[[v]]
// CHECK-NEXT:        memref.store %[[d]], %arg1[%[[i]], %[[j]]]
// CHECK:         func.func private @pith_expect_work(index)
func.func @double(%x: memref<?x384xf32>, %y: memref<?x384xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x384xf32>) outs(%y : memref<?x384xf32>) {
  ^bb0(%v: f32, %o: f32):
    %d = arith.addf %v, %v : f32
    linalg.yield %d : f32
  }
  return
}

// -----

// A reduction innermost: the sum is carried in a register and stored once; it may be reassociated.

#a = affine_map<(i, k) -> (i, k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL: func.func @sum
// CHECK:         scf.parallel (%[[i:.*]]) =
// CHECK-NEXT:      %[[first:.*]] = memref.load %arg1[%[[i]]]
// CHECK-NEXT:      %[[sum:.*]] = scf.for %[[k:.*]] = {{.*}} iter_args(%[[acc:.*]] = %[[first]])
// CHECK:             arith.addf %{{.*}}, %{{.*}} fastmath<reassoc>
// CHECK:           memref.store %[[sum]], %arg1[%[[i]]]
func.func @sum(%x: memref<8x?xf32>, %y: memref<8xf32>) {
  linalg.generic {indexing_maps = [#a, #y], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x?xf32>) outs(%y : memref<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %s = arith.addf %v, %o : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// Positions in the body are the loop variables; maps may be sums of loops.

#x = affine_map<(i, k) -> (i + k)>
#w = affine_map<(i, k) -> (k)>
#y = affine_map<(i, k) -> (i)>

// CHECK-LABEL: func.func @window
// CHECK:         scf.parallel (%[[i:.*]]) =
// CHECK:           scf.for %[[k:[a-z0-9]+]] =
// CHECK:             %[[at:.*]] = arith.addi %[[i]], %[[k]]
// CHECK:             memref.load %arg0[%[[at]]]
// CHECK:             arith.index_cast %[[i]] : index to i64
// CHECK-NOT:         linalg.index
func.func @window(%x: memref<9xi64>, %w: memref<3xi64>, %y: memref<7xi64>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : memref<9xi64>, memref<3xi64>) outs(%y : memref<7xi64>) {
  ^bb0(%v: i64, %u: i64, %o: i64):
    %i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    %p = arith.muli %v, %u : i64
    %q = arith.addi %p, %n : i64
    %s = arith.addi %o, %q : i64
    linalg.yield %s : i64
  }
  return
}

// -----

// Regions in the body keep reading the right values.

#id = affine_map<(i) -> (i)>

// CHECK-LABEL: func.func @branch
// CHECK:         %[[v:.*]] = memref.load %arg0
// CHECK:         scf.if
// CHECK-NEXT:      %[[d:.*]] = arith.mulf %[[v]], %[[v]]
// CHECK-NEXT:      scf.yield %[[d]]
// CHECK-NEXT:    } else {
// CHECK-NEXT:      scf.yield %[[v]]
func.func @branch(%x: memref<8xf32>, %y: memref<8xf32>) {
  %z = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<8xf32>) outs(%y : memref<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %c = arith.cmpf ogt, %v, %z : f32
    %r = scf.if %c -> f32 {
      %d = arith.mulf %v, %v : f32
      scf.yield %d : f32
    } else {
      scf.yield %v : f32
    }
    linalg.yield %r : f32
  }
  return
}

// -----

// Ops on tensors are left for bufferization.

// CHECK-LABEL: func.func @tensors
// CHECK:         linalg.fill
func.func @tensors(%y: tensor<8xf32>) -> tensor<8xf32> {
  %z = arith.constant 0.0 : f32
  %r = linalg.fill ins(%z : f32) outs(%y : tensor<8xf32>) -> tensor<8xf32>
  return %r : tensor<8xf32>
}
