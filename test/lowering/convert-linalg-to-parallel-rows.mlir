// RUN: pith-opt --split-input-file --convert-linalg-to-parallel-rows --canonicalize %s | filecheck %s

// An elementwise op: rows in parallel, columns in vectors. The runtime is told how much work it is: small ops stay on
// the calling thread.

#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @double
// CHECK:         call @pith_expect_work
// CHECK-NEXT:    scf.parallel (%[[i:.*]]) =
// CHECK-NEXT:      scf.for %[[j:[a-z0-9]+]] = %c0 to %c384 step %c8 {
// CHECK-NEXT:        %[[v:.*]] = vector.load %arg0[%[[i]], %[[j]]] : memref<?x384xf32>, vector<8xf32>
// CHECK-NEXT:        %[[d:.*]] = arith.addf %[[v]], %[[v]]
// CHECK-NEXT:        vector.store %[[d]], %arg1[%[[i]], %[[j]]]
// CHECK-NEXT:      }
// CHECK-NEXT:      scf.reduce
// CHECK:         func.func private @pith_expect_work(index)
module attributes {pith.isa = "avx2"} {
func.func @double(%x: memref<?x384xf32>, %y: memref<?x384xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x384xf32>) outs(%y : memref<?x384xf32>) {
  ^bb0(%v: f32, %o: f32):
    %d = arith.addf %v, %v : f32
    linalg.yield %d : f32
  }
  return
}
}

// -----

// What is the same along a row is loaded once; elements that are left at its end are computed one by one. The widest
// type of the body says how long vectors are.

#id = affine_map<(i, j) -> (i, j)>
#i0 = affine_map<(i, j) -> (i, 0)>

// CHECK-LABEL: func.func @ragged
// CHECK:         scf.parallel (%[[i:.*]]) =
// CHECK:           %[[s:.*]] = memref.load %arg1[%[[i]], %c0]
// CHECK:           scf.for %[[j:[a-z0-9]+]] = %c0 to %[[whole:.*]] step %c8 {
// CHECK:             vector.load %arg0[%[[i]], %[[j]]] : memref<?x?xf16>, vector<8xf16>
// CHECK:             vector.broadcast %[[s]] : f64 to vector<8xf64>
// CHECK:             vector.store
// CHECK:           scf.for %{{.*}} = %[[whole]] to %{{.*}} step %c1 {
// CHECK:             memref.store
// CHECK:           } {llvm.loop_annotation
module attributes {pith.isa = "avx512"} {
func.func @ragged(%x: memref<?x?xf16>, %scale: memref<?x1xf64>, %y: memref<?x?xf64>) {
  linalg.generic {indexing_maps = [#id, #i0, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %scale : memref<?x?xf16>, memref<?x1xf64>) outs(%y : memref<?x?xf64>) {
  ^bb0(%v: f16, %s: f64, %o: f64):
    %w = arith.extf %v : f16 to f64
    %d = arith.mulf %w, %s : f64
    linalg.yield %d : f64
  }
  return
}
}

// -----

// No vectors: of truth values (a byte each in memory), of arithmetic in f16, where elements are not neighbours.

#id = affine_map<(i, j) -> (i, j)>
#t = affine_map<(i, j) -> (j, i)>

// CHECK-LABEL: func.func @one_by_one
// CHECK-NOT:     vector.
// CHECK:         return
func.func @one_by_one(%m: memref<8x64xi1>, %h: memref<8x64xf16>, %x: memref<64x8xf32>, %y: memref<8x64xf32>) {
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%m : memref<8x64xi1>) {
  ^bb0(%v: i1):
    %n = arith.xori %v, %v : i1
    linalg.yield %n : i1
  }
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%h : memref<8x64xf16>) {
  ^bb0(%v: f16):
    %n = arith.addf %v, %v : f16
    linalg.yield %n : f16
  }
  linalg.generic {indexing_maps = [#t, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x8xf32>) outs(%y : memref<8x64xf32>) {
  ^bb0(%v: f32, %o: f32):
    linalg.yield %v : f32
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

// -----

// A softmax without its maximum: three ops and a copy that need nothing of each other but the row they
// are at. One loop over the rows of both leading dimensions; the row stays in L1.

#ijk = affine_map<(i, j, k) -> (i, j, k)>
#ij0 = affine_map<(i, j, k) -> (i, j, 0)>

// CHECK-LABEL: func.func @softmax
// CHECK:         memref.alloc
// CHECK:         scf.parallel (%[[i:.*]], %[[j:.*]]) =
// CHECK-NEXT:      scf.for
// CHECK:             math.exp
// CHECK:           %[[z:.*]] = memref.load %arg2[%[[i]], %[[j]], %
// CHECK-NEXT:      memref.store %[[z]], %[[sums:.*]][%[[i]], %[[j]], %
// CHECK:           scf.for
// CHECK:             arith.addf %{{.*}}, %{{.*}} fastmath<reassoc>
// CHECK:           scf.for
// CHECK:             arith.divf
// CHECK-NOT:     scf.parallel
// CHECK:         memref.dealloc
func.func @softmax(%x: memref<?x8x384xf32>, %y: memref<?x8x384xf32>, %zeros: memref<?x8x1xf32>) {
  %c0 = arith.constant 0 : index
  linalg.generic {indexing_maps = [#ijk, #ijk], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : memref<?x8x384xf32>) outs(%y : memref<?x8x384xf32>) {
  ^bb0(%v: f32, %o: f32):
    %e = math.exp %v : f32
    linalg.yield %e : f32
  }
  %n = memref.dim %x, %c0 : memref<?x8x384xf32>
  %sums = memref.alloc(%n) : memref<?x8x1xf32>
  memref.copy %zeros, %sums : memref<?x8x1xf32> to memref<?x8x1xf32>
  linalg.generic {indexing_maps = [#ijk, #ij0], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y : memref<?x8x384xf32>) outs(%sums : memref<?x8x1xf32>) {
  ^bb0(%v: f32, %o: f32):
    %s = arith.addf %v, %o : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [#ij0, #ijk], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%sums : memref<?x8x1xf32>) outs(%y : memref<?x8x384xf32>) {
  ^bb0(%s: f32, %o: f32):
    %q = arith.divf %o, %s : f32
    linalg.yield %q : f32
  }
  memref.dealloc %sums : memref<?x8x1xf32>
  return
}

// -----

// An op that reads another row of what the one before wrote waits for all of it.

#id = affine_map<(i, j) -> (i, j)>
#t = affine_map<(i, j) -> (j, i)>

// CHECK-LABEL: func.func @transposed
// CHECK:         scf.parallel
// CHECK:         scf.parallel
func.func @transposed(%x: memref<64x64xf32>, %y: memref<64x64xf32>, %z: memref<64x64xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  }
  linalg.generic {indexing_maps = [#t, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y : memref<64x64xf32>) outs(%z : memref<64x64xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  }
  return
}

// -----

// So does one that reads it through another shape, and one behind something that reads memory.

#id = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @reshaped
// CHECK:         scf.parallel
// CHECK:         scf.parallel
// CHECK:         memref.load
// CHECK:         scf.parallel
func.func @reshaped(%x: memref<64x64xf32>, %y: memref<64x64xf32>, %z: memref<4096x1xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  }
  %flat = memref.collapse_shape %y [[0, 1]] : memref<64x64xf32> into memref<4096xf32>
  %column = memref.expand_shape %flat [[0, 1]] output_shape [4096, 1] : memref<4096xf32> into memref<4096x1xf32>
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%column : memref<4096x1xf32>) outs(%z : memref<4096x1xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    linalg.yield %n : f32
  }
  %first = memref.load %z[%c0, %c0] : memref<4096x1xf32>
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%z : memref<4096x1xf32>) {
  ^bb0(%o: f32):
    %n = arith.negf %o : f32
    linalg.yield %n : f32
  }
  return %first : f32
}

// -----

// Dimensions of size one do not keep rows apart: the maximum of a row, kept as a column.

#id = affine_map<(i, j) -> (i, j)>
#ijk = affine_map<(i, j, k) -> (i, j, k)>
#ij = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @kept_dimension
// CHECK:         scf.parallel
// CHECK:           math.absf
// CHECK:           arith.maximumf
// CHECK-NOT:     scf.parallel
// CHECK:         return
func.func @kept_dimension(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %max: memref<64x1xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = math.absf %v : f32
    linalg.yield %n : f32
  }
  %wide = memref.expand_shape %y [[0, 1], [2]] output_shape [64, 1, 32] : memref<64x32xf32> into memref<64x1x32xf32>
  linalg.generic {indexing_maps = [#ijk, #ij], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%wide : memref<64x1x32xf32>) outs(%max : memref<64x1xf32>) {
  ^bb0(%v: f32, %o: f32):
    %m = arith.maximumf %v, %o : f32
    linalg.yield %m : f32
  }
  return
}

// -----

// What an op gathers from may lie in rows that another thread has still to write.

#id = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>

// CHECK-LABEL: func.func @gathered
// CHECK:         scf.parallel
// CHECK:           math.absf
// CHECK:         scf.parallel
// CHECK:           memref.load
func.func @gathered(%x: memref<64x32xf32>, %at: memref<64xindex>, %table: memref<64x32xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%table : memref<64x32xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = math.absf %v : f32
    linalg.yield %n : f32
  }
  linalg.generic {indexing_maps = [#i, #id], iterator_types = ["parallel", "parallel"]}
      ins(%at : memref<64xindex>) outs(%y : memref<64x32xf32>) {
  ^bb0(%row: index, %o: f32):
    %j = linalg.index 1 : index
    %v = memref.load %table[%row, %j] : memref<64x32xf32>
    linalg.yield %v : f32
  }
  return
}

// -----

// A convolution with a filter per channel: the columns innermost, where image and result are contiguous.

#image = affine_map<(c, y, x, r, s) -> (c, y + r, x + s)>
#filters = affine_map<(c, y, x, r, s) -> (c, r, s)>
#out = affine_map<(c, y, x, r, s) -> (c, y, x)>

// CHECK-LABEL: func.func @depthwise
// CHECK:         scf.parallel
// CHECK:           scf.for %[[R:[a-z0-9]+]] = %c0 to %c2
// CHECK:             scf.for %[[S:[a-z0-9]+]] = %c0 to %c3
// CHECK:               scf.for %[[X:[a-z0-9]+]] = %c0 to %c16 step %c8
// CHECK:                 vector.store %{{.*}}, %arg2[%{{.*}}, %{{.*}}, %[[X]]]
module attributes {pith.isa = "avx2"} {
func.func @depthwise(%x: memref<8x9x18xf32>, %w: memref<8x2x3xf32>, %y: memref<8x8x16xf32>) {
  linalg.generic {indexing_maps = [#image, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%x, %w : memref<8x9x18xf32>, memref<8x2x3xf32>) outs(%y : memref<8x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}
}

// -----

// A copy into part of a buffer is a loop like any other, along the first dimension of several coordinates; a whole one is
// left to the runtime.
// CHECK-LABEL: func.func @copies
// CHECK:         memref.copy %{{.*}} : memref<1x4x32xf32> to memref<1x4x32xf32>
// CHECK:         scf.parallel (%{{.*}}) = (%{{.*}}) to (%c4
// CHECK:           vector.store
// CHECK-NOT:     memref.copy
// CHECK:         return
func.func @copies(%x: memref<1x4x32xf32>, %y: memref<1x4x32xf32>, %z: memref<1x6x34xf32>) {
  memref.copy %x, %y : memref<1x4x32xf32> to memref<1x4x32xf32>
  %inner = memref.subview %z[0, 1, 1] [1, 4, 32] [1, 1, 1] : memref<1x6x34xf32> to memref<1x4x32xf32, strided<[204, 34, 1], offset: 35>>
  memref.copy %x, %inner : memref<1x4x32xf32> to memref<1x4x32xf32, strided<[204, 34, 1], offset: 35>>
  return
}

// -----

// Rows of a table, summed over the places of a bag: what is read at the column is a vector, four side by side where they
// divide the row; the row that is read is found once, and so is the count.

#bag = affine_map<(i, j) -> (i)>
#out = affine_map<(i, j) -> (i, j)>

// CHECK-LABEL: func.func @bags
// CHECK:         scf.parallel (%[[i:.*]]) =
// CHECK:           scf.for %[[j:[a-z0-9]+]] = %c0 to %c192 step %c32 {
// CHECK:             %[[sum:.*]]:2 = scf.for %[[p:.*]] = %{{.*}} to %{{.*}} step %c1 iter_args(%[[s:.*]] = %{{.*}}, %[[c:.*]] = %{{.*}}) -> (vector<32xf32>, index) {
// CHECK:               %[[row:.*]] = memref.load %arg1[%[[p]]] : memref<?xindex>
// CHECK-NEXT:          %[[v:.*]] = vector.load %arg2[%[[row]], %[[j]]] : memref<?x192xf32>, vector<32xf32>
// CHECK-NEXT:          arith.addf %[[s]], %[[v]] : vector<32xf32>
// CHECK-NEXT:          arith.addi %[[c]], %c1
// CHECK:             vector.store %[[sum]]#0, %arg3[%[[i]], %[[j]]] : memref<?x192xf32>, vector<32xf32>
module attributes {pith.isa = "avx2"} {
func.func @bags(%ends: memref<?xi64>, %rows: memref<?xindex>, %table: memref<?x192xf32>, %y: memref<?x192xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [#bag, #out], iterator_types = ["parallel", "parallel"]}
      ins(%ends : memref<?xi64>) outs(%y : memref<?x192xf32>) {
  ^bb0(%last: i64, %o: f32):
    %j = linalg.index 1 : index
    %end = arith.index_cast %last : i64 to index
    %sum:2 = scf.for %p = %c0 to %end step %c1 iter_args(%s = %zero, %c = %c0) -> (f32, index) {
      %row = memref.load %rows[%p] : memref<?xindex>
      %x = memref.load %table[%row, %j] : memref<?x192xf32>
      %t = arith.addf %s, %x : f32
      %d = arith.addi %c, %c1 : index
      scf.yield %t, %d : f32, index
    }
    linalg.yield %sum#0 : f32
  }
  return
}
}

// -----

// Read at another column than the one that is written: an element at a time.
// CHECK-LABEL: func.func @turned
// CHECK-NOT:     vector.load
// CHECK:         return
#one = affine_map<(i, j) -> (i, j)>
module attributes {pith.isa = "avx2"} {
func.func @turned(%rows: memref<?xi64>, %table: memref<192x192xf32>, %y: memref<192x192xf32>) {
  linalg.generic {indexing_maps = [#one], iterator_types = ["parallel", "parallel"]} outs(%y : memref<192x192xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %x = memref.load %table[%j, %i] : memref<192x192xf32>
    linalg.yield %x : f32
  }
  return
}
}

// -----

// Two results, of which one has the loop that the other sums over: no register holds it along that loop.
// CHECK-LABEL: func.func @two_results
// CHECK:         scf.parallel (%[[i:.*]]) =
// CHECK-NEXT:      scf.for %[[j:[a-z0-9]+]] = %c0 to %c12 step %c1 {
// CHECK:             memref.store %{{.*}}, %arg1[%[[i]], %[[j]]]
// CHECK-NEXT:        memref.store %{{.*}}, %arg2[%[[i]]]
#ij = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>
func.func @two_results(%x: memref<8x12xf32>, %y: memref<8x12xf32>, %z: memref<8xf32>) {
  linalg.generic {indexing_maps = [#ij, #ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x12xf32>) outs(%y, %z : memref<8x12xf32>, memref<8xf32>) {
  ^bb0(%v: f32, %o: f32, %s: f32):
    %p = arith.addf %v, %o : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %p, %t : f32, f32
  }
  return
}
