// RUN: pith-opt --split-input-file --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s

// One product: tasks are parts of the rows times groups of columns, and pack the panels that they multiply with, rows of
// four panels together. The accumulators of six rows are added to what the output holds: nothing is put down in between.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx2"} {

// CHECK-LABEL: func.func @matmul
// CHECK:         call @pith_get_num_threads
// CHECK:         scf.parallel (%{{.*}}) =
// CHECK:           %[[panels:.*]] = memref.alloc() {alignment = 64 : i64} : memref<16x40x16xf32>
// CHECK-COUNT-4:   vector.store %{{.*}}, %[[panels]][%{{.*}}, %{{.*}}, %{{.*}}] : memref<16x40x16xf32>, vector<16xf32>
// CHECK:           %[[accs:.*]]:6 = scf.for
// CHECK:             %[[x:.*]] = vector.load %[[panels]]
// CHECK:             %[[a:.*]] = memref.load %arg0
// CHECK:             %[[v:.*]] = vector.broadcast %{{.*}} : f32 to vector<16xf32>
// CHECK:             vector.fma %[[v]], %[[x]], %{{.*}} : vector<16xf32>
// CHECK:           %[[old:.*]] = vector.load %arg2
// CHECK:           %[[new:.*]] = arith.addf %[[old]], %[[accs]]#0
// CHECK:           vector.store %[[new]], %arg2
// CHECK-NOT:     linalg.generic
func.func @matmul(%a: memref<132x40xf32>, %b: memref<40x256xf32>, %c: memref<132x256xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<132x40xf32>, memref<40x256xf32>) outs(%c : memref<132x256xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %m = arith.mulf %x, %y : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

}

// -----

// A batch in which every product has a right-hand side of its own, heads never transposed: a task packs
// what it multiplies with, and matrices are views.

#q = affine_map<(b, h, i, j, k) -> (b, i, h, k)>
#k = affine_map<(b, h, i, j, k) -> (b, j, h, k)>
#s = affine_map<(b, h, i, j, k) -> (b, h, i, j)>

module attributes {pith.isa = "avx2"} {

// CHECK-LABEL: func.func @attention
// CHECK-NOT:     memref.alloc
// CHECK:         scf.parallel (%[[b:.*]], %[[h:.*]], %{{.*}}, %{{.*}}) =
// CHECK-DAG:       %[[q:.*]] = memref.subview %arg0[%[[b]], 0, %[[h]], 0] {{.*}} to memref<?x32xf32, strided<[384, 1], offset: ?>>
// CHECK-DAG:       %[[k:.*]] = memref.subview %arg1[%[[b]], 0, %[[h]], 0]
// CHECK-DAG:       %[[s:.*]] = memref.subview %arg2[%[[b]], %[[h]], 0, 0]
// CHECK-DAG:       %[[panels:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?x32x16xf32>
// CHECK:           scf.for
func.func @attention(%q: memref<?x?x12x32xf32>, %k: memref<?x?x12x32xf32>, %s: memref<?x12x?x?xf32>) {
  linalg.generic {indexing_maps = [#q, #k, #s], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : memref<?x?x12x32xf32>, memref<?x?x12x32xf32>) outs(%s : memref<?x12x?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %m = arith.mulf %x, %y : f32
    %t = arith.addf %m, %o : f32
    linalg.yield %t : f32
  }
  return
}

}

// -----

// Both dimensions of x that w lacks may be rows; the loop that is left runs around the product, and each of its rounds
// reads w. So the larger one is rows, though x and y have it in different places (nn.MultiheadAttention, batch first).

#x = affine_map<(t, b, n, k) -> (b, t, k)>
#w = affine_map<(t, b, n, k) -> (n, k)>
#y = affine_map<(t, b, n, k) -> (t, b, n)>

module attributes {pith.isa = "avx2"} {

// CHECK-LABEL: func.func @tokens_are_rows
// CHECK:         scf.parallel (%[[b:[^,]*]], %{{.*}}) = (%c0, %c0) to (%c2, %{{.*}})
// CHECK-DAG:       memref.subview %arg0[%[[b]], 0, 0] [1, 64, 96] [1, 1, 1] : {{.*}} to memref<64x96xf32,
// CHECK-DAG:       memref.subview %arg2[0, %[[b]], 0] [64, 1, 80] [1, 1, 1] : {{.*}} to memref<64x80xf32,
func.func @tokens_are_rows(%x: memref<2x64x96xf32>, %w: memref<80x96xf32>, %y: memref<64x2x80xf32>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<2x64x96xf32>, memref<80x96xf32>) outs(%y : memref<64x2x80xf32>) {
  ^bb0(%u: f32, %v: f32, %o: f32):
    %m = arith.mulf %u, %v : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

}

// -----

// Rows that are stored as columns are turned first. AVX-512 has registers for six rows of four vectors.

#a = affine_map<(i, j, k) -> (k, i)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @gradient
// CHECK:         %[[copy:.*]] = memref.alloc() {alignment = 64 : i64} : memref<5000xf64>
// CHECK:         scf.parallel
// CHECK:           vector.shuffle
// CHECK:         %[[turned:.*]] = memref.reinterpret_cast %[[copy]]
// CHECK:         %{{.*}}:6 = scf.for {{.*}} -> (vector<32xf64>
// CHECK:           memref.load %[[turned]]
func.func @gradient(%a: memref<50x100xf64>, %b: memref<50x64xf64>, %c: memref<100x64xf64>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<50x100xf64>, memref<50x64xf64>) outs(%c : memref<100x64xf64>) {
  ^bb0(%x: f64, %y: f64, %o: f64):
    %m = arith.mulf %x, %y : f64
    %s = arith.addf %o, %m : f64
    linalg.yield %s : f64
  }
  return
}

}

// -----

// Two columns are the rows of the product turned around. Left as they are: a body that is no product, columns far apart.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @two_columns
// CHECK-NOT:   linalg.generic
// CHECK:       vector.fma
// CHECK-LABEL: func.func @others
// CHECK-COUNT-2: linalg.generic
func.func @two_columns(%a: memref<64x64xf32>, %n: memref<64x2xf32>, %o: memref<64x2xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %n : memref<64x64xf32>, memref<64x2xf32>) outs(%o : memref<64x2xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %m = arith.mulf %p, %q : f32
    %s = arith.addf %r, %m : f32
    linalg.yield %s : f32
  }
  return
}

func.func @others(%a: memref<64x64xf32>, %c: memref<64x64xf32>, %far: memref<64x64xf32, strided<[1, 64]>>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %a : memref<64x64xf32>, memref<64x64xf32>) outs(%c : memref<64x64xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %m = arith.addf %p, %q : f32
    %s = arith.maximumf %r, %m : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %far : memref<64x64xf32>, memref<64x64xf32, strided<[1, 64]>>) outs(%c : memref<64x64xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %m = arith.mulf %p, %q : f32
    %s = arith.addf %r, %m : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// One column: nothing is packed. Four rows at a time, two vectors of each, one load of the column for all of them; the
// dimension of size one may stand anywhere, or be missing.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (j, k)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx2"} {

// CHECK-LABEL: func.func @one_row_of_activations
// CHECK-NOT:     memref.alloc
// CHECK:         scf.parallel
// CHECK:           scf.for
// CHECK:             %[[accs:.*]]:8 = scf.for
// CHECK-COUNT-2:       vector.load %{{.*}} : memref<?xf32{{.*}}>, vector<8xf32>
// CHECK-COUNT-8:       vector.fma
// CHECK-COUNT-6:     vector.shuffle
// CHECK:             %[[totals:.*]] = scf.for {{.*}} -> (vector<4xf32>)
// CHECK-COUNT-4:     vector.extract %[[totals]]
// CHECK-NOT:     linalg.generic
func.func @one_row_of_activations(%x: memref<1x?xf32>, %w: memref<?x?xf32>, %y: memref<1x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<1x?xf32>, memref<?x?xf32>) outs(%y : memref<1x?xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: func.func @matvec
// CHECK:         vector.fma
// CHECK-NOT:     linalg.generic
func.func @matvec(%w: memref<100x70xf64>, %x: memref<70xf64>, %y: memref<100xf64>) {
  linalg.generic {indexing_maps = [affine_map<(i, k) -> (i, k)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%w, %x : memref<100x70xf64>, memref<70xf64>) outs(%y : memref<100xf64>) {
  ^bb0(%v: f64, %u: f64, %o: f64):
    %m = arith.mulf %v, %u : f64
    %s = arith.addf %o, %m : f64
    linalg.yield %s : f64
  }
  return
}

// Three rows and two columns as dot products: five loads for six multiply-adds. The last column is repeated.
// CHECK-LABEL: func.func @few_rows_of_activations
// CHECK:         %[[sums:.*]] = memref.alloc() {{.*}} : memref<3x256xf32>
// CHECK:           scf.for
// CHECK:             arith.minui
// CHECK:             %{{.*}}:6 = scf.for
// CHECK-COUNT-3:       vector.load
// CHECK-COUNT-6:       vector.fma
// CHECK-NOT:           vector.fma
// CHECK:             vector.store %{{.*}}, %[[sums]]{{.*}} vector<2xf32>
// CHECK-NOT:     linalg.generic
func.func @few_rows_of_activations(%x: memref<3x?xf32>, %w: memref<?x?xf32>, %y: memref<3x?xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<3x?xf32>, memref<?x?xf32>) outs(%y : memref<3x?xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// A matrix stored by columns is read as it lies: not by this kernel.
// CHECK-LABEL: func.func @by_columns
// CHECK:         linalg.generic
func.func @by_columns(%w: memref<70x100xf32>, %x: memref<70xf32>, %y: memref<100xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, k) -> (k, i)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%w, %x : memref<70x100xf32>, memref<70xf32>) outs(%y : memref<100xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// At run time there may be so few rows that rows of the right operand are read where they lie; static sizes decide now.
// CHECK-LABEL: func.func @few_rows
// CHECK:         arith.cmpi ult, %{{.*}}, %{{.*}} : index
// CHECK:         scf.if
// CHECK:           memref.alloc() {{.*}} : memref<12x4096xf32>
// CHECK:           vector.load %arg1[%{{.*}}, %{{.*}}] : memref<70x100xf32>, vector<8xf32>
// CHECK:         } else {
// CHECK:           memref.alloc
func.func @few_rows(%x: memref<?x70xf32>, %w: memref<70x100xf32>, %y: memref<?x100xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
                                   affine_map<(i, j, k) -> (i, j)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x70xf32>, memref<70x100xf32>) outs(%y : memref<?x100xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}
}

// -----

// A transposition behind two reshapes that others ask for sizes: the kernel stores where it would; the sizes are those
// of what the kernel overwrites.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>
#in = affine_map<(t, h, x) -> (t, h, x)>
#out = affine_map<(t, h, x) -> (h, t, x)>

// CHECK-LABEL: func.func @sizes_of_reshapes
// CHECK:       %[[OVERWRITTEN:.*]] = tensor.empty
// CHECK:       %[[SHAPED:.*]] = tensor.expand_shape %[[OVERWRITTEN]]
// CHECK:       tensor.dim %[[SHAPED]]
// CHECK-NOT:   linalg.generic
// CHECK:       scf.parallel
func.func @sizes_of_reshapes(%x: tensor<?x16xf32>, %w: tensor<16x8xf32>, %n: index) -> (tensor<1x?x8xf32>, index) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = tensor.dim %x, %c0 : tensor<?x16xf32>
  %e = tensor.empty(%rows) : tensor<?x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %p = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x16xf32>, tensor<16x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%l: f32, %r: f32, %s: f32):
    %m = arith.mulf %l, %r : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<?x8xf32>
  %0 = tensor.expand_shape %p [[0, 1], [2]] output_shape [1, %n, 8] : tensor<?x8xf32> into tensor<1x?x8xf32>
  %1 = tensor.collapse_shape %0 [[0, 1], [2]] : tensor<1x?x8xf32> into tensor<?x8xf32>
  %2 = tensor.expand_shape %1 [[0], [1, 2]] output_shape [%n, 1, 8] : tensor<?x8xf32> into tensor<?x1x8xf32>
  %d = tensor.dim %2, %c0 : tensor<?x1x8xf32>
  %f = tensor.empty(%d) : tensor<1x?x8xf32>
  %3 = linalg.generic {indexing_maps = [#in, #out], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%2 : tensor<?x1x8xf32>) outs(%f : tensor<1x?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    linalg.yield %v : f32
  } -> tensor<1x?x8xf32>
  return %3, %d : tensor<1x?x8xf32>, index
}

// -----

// Registers of 512 bits: the first tile of rows reads rows of the right operand where they lie, stores a copy, and fetches
// a later row; the other tiles read the copy, which the next panel's takes the place of. Three vectors of a row are two accumulators.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512-fp16"} {

// CHECK-LABEL: func.func @packed_along
// CHECK-SAME:    %{{.*}}: memref<16x256xf32>, %[[b:.*]]: memref<256x96xf32>, %{{.*}}: memref<16x96xf32>
// CHECK:         %[[panels:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?x256x48xf32>
// CHECK-NOT:       write
// CHECK:             vector.load %[[b]]{{.*}} : memref<256x96xf32>, vector<32xf32>
// CHECK:             vector.load %[[b]]{{.*}} : memref<256x96xf32>, vector<16xf32>
// CHECK:             vector.store %{{.*}}, %[[panels]]
// CHECK:             vector.store %{{.*}}, %[[panels]]
// CHECK-COUNT-3:     memref.prefetch %[[b]]{{.*}} locality<3>
// CHECK-COUNT-16:    vector.fma
// CHECK-NOT:         memref.prefetch %[[b]]{{.*}} locality<3>
// CHECK:             vector.load %[[panels]]
func.func @packed_along(%x: memref<16x256xf32>, %w: memref<256x96xf32>, %y: memref<16x96xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<16x256xf32>, memref<256x96xf32>) outs(%y : memref<16x96xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// So many rows that they have an unrolled block per vector of a panel, and meet it once: panels have two slots by turns, and
// every block copies a vector of the next one, or two. Only the first is packed by the tile that meets it. Not with 16 rows,
// above.

// CHECK-LABEL: func.func @packed_ahead
// CHECK-SAME:    %{{.*}}: memref<112x256xf32>, %[[b:.*]]: memref<256x320xf32>, %{{.*}}: memref<112x320xf32>
// CHECK:         %[[two:.*]] = arith.select %{{.*}}, %c2, %{{.*}} : index
// CHECK:         %[[panels:.*]] = memref.alloc(%[[two]]) {{.*}} : memref<?x256x64xf32>
// CHECK-COUNT-6:   vector.fma
// CHECK:           arith.select %{{.*}}, %c1, %c2 : index
// CHECK:           memref.prefetch %[[b]]{{.*}} locality<2>
// CHECK-NEXT:      %[[part:.*]] = vector.load %[[b]]{{.*}}, vector<16xf32>
// CHECK-NEXT:      vector.store %[[part]], %[[panels]]
// CHECK:           scf.if
// CHECK-NEXT:        arith.divui
// CHECK:             %[[next:.*]] = vector.load %[[b]]{{.*}}, vector<16xf32>
// CHECK-NEXT:        vector.store %[[next]], %[[panels]]
// CHECK:           } else {
// CHECK-COUNT-4:     memref.prefetch %[[b]]{{.*}} locality<2>
// CHECK-COUNT-24:  vector.fma
func.func @packed_ahead(%x: memref<112x256xf32>, %w: memref<256x320xf32>, %y: memref<112x320xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<112x256xf32>, memref<256x320xf32>) outs(%y : memref<112x320xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Tiles ask for the lines that they write where caches do not hold them: those of 1024x1024, not those of 16x96.

// CHECK-LABEL: func.func @far_results
// CHECK-SAME:    %[[y:[a-z0-9]+]]: memref<1024x1024xf32>
// CHECK-COUNT-24:  memref.prefetch %[[y]]{{.*}}, write, locality<3>, data
// CHECK-NEXT:      scf.for
func.func @far_results(%x: memref<1024x128xf32>, %w: memref<128x1024xf32>, %y: memref<1024x1024xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<1024x128xf32>, memref<128x1024xf32>) outs(%y : memref<1024x1024xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// No more rows than a tile has: nobody reads a copy, so none is stored. Where only run time knows, a branch tells; the
// last rows of six take a tile of four where they are so few, eight or seven rows two of them.

// CHECK-LABEL: func.func @met_once
// CHECK-NOT:     memref.alloc
// CHECK:         memref.prefetch
// CHECK-LABEL: func.func @met_by_some
// CHECK:         arith.minui %{{.*}}, %c255 : index
// CHECK-NEXT:    scf.if %{{.*}} {
// CHECK-NEXT:      vector.store
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[last:.*]] step %c6 {
// CHECK-COUNT-24:  vector.fma %{{.*}} : vector<64xf32>
// CHECK:         scf.for %{{.*}} = %[[last]] to %{{.*}} step %c4 {
// CHECK-COUNT-16:  vector.fma %{{.*}} : vector<64xf32>
// CHECK-NOT:       vector.fma %{{.*}} : vector<64xf32>
func.func @met_once(%x: memref<4x256xf32>, %w: memref<256x128xf32>, %y: memref<4x128xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<4x256xf32>, memref<256x128xf32>) outs(%y : memref<4x128xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

func.func @met_by_some(%x: memref<?x256xf32>, %w: memref<256x128xf32>, %y: memref<?x128xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x256xf32>, memref<256x128xf32>) outs(%y : memref<?x128xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

}

// -----

// A filter per channel: channels are tasks, which copy theirs with zeros around it. A tile is five lines of a result of
// 5x12; a vector of the image is read once for all of them. What is behind is computed before anything is stored.

#image = affine_map<(n, c, y, x, r, s) -> (n, c, y + r, x * 2 + s)>
#filters = affine_map<(n, c, y, x, r, s) -> (c, r, s)>
#out = affine_map<(n, c, y, x, r, s) -> (n, c, y, x)>
#same = affine_map<(n, c, y, x) -> (n, c, y, x)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @depthwise
// CHECK-NOT:     tensor.pad
// CHECK:         scf.parallel (%[[n:.*]], %[[c:.*]]) =
// CHECK:           %[[plane:.*]] = memref.alloca() {alignment = 64 : i64} : memref<223xf32>
// CHECK:           vector.load %{{.*}}[%[[n]], %[[c]], %{{.*}}, %{{.*}}] : memref<?x6x5x24xf32>, vector<16xf32>
// CHECK:           vector.load %{{.*}}[%[[n]], %[[c]], %{{.*}}, %{{.*}}] : memref<?x6x5x24xf32>, vector<8xf32>
// CHECK:           vector.shuffle
// CHECK-COUNT-45:  vector.fma
// CHECK-NOT:       vector.fma
// CHECK:           math.absf %{{.*}} : vector<8xf32>
// CHECK:           math.absf %{{.*}} : vector<4xf32>
// CHECK-NOT:     linalg.generic
func.func @depthwise(%x: tensor<?x6x5x24xf32>, %w: tensor<6x3x3xf32>, %o: tensor<?x6x5x12xf32>) -> tensor<?x6x5x12xf32> {
  %zero = arith.constant 0.0 : f32
  %padded = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 0] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<?x6x5x24xf32> to tensor<?x6x7x25xf32>
  %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x6x5x12xf32>) -> tensor<?x6x5x12xf32>
  %y = linalg.generic {indexing_maps = [#image, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%padded, %w : tensor<?x6x7x25xf32>, tensor<6x3x3xf32>) outs(%init : tensor<?x6x5x12xf32>) {
  ^bb0(%u: f32, %v: f32, %s: f32):
    %p = arith.mulf %u, %v : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<?x6x5x12xf32>
  %z = linalg.generic {indexing_maps = [#same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%y : tensor<?x6x5x12xf32>) {
  ^bb0(%u: f32):
    %p = math.absf %u : f32
    linalg.yield %p : f32
  } -> tensor<?x6x5x12xf32>
  return %z : tensor<?x6x5x12xf32>
}

}

// -----

// Windows of an image are packed from the image, converted on the way; no matrix of them is made. Where threads would
// get fewer tasks, they pack one panel each.

#read = affine_map<(c, r, s, y, x) -> (0, c, y + r, x + s)>
#same = affine_map<(c, r, s, y, x) -> (c, r, s, y, x)>
#windows = affine_map<(f, p, k) -> (k, p)>
#filters = affine_map<(f, p, k) -> (f, k)>
#out = affine_map<(f, p, k) -> (f, p)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @windows
// CHECK-NOT:     linalg.generic
// CHECK:         %[[image:.*]] = bufferization.to_buffer %arg0
// CHECK:         %[[few:.*]] = arith.cmpi ugt, %{{.*}}, %c7 : index
// CHECK:         %[[uneven:.*]] = arith.andi %{{.*}}, %[[few]]
// CHECK:         %[[group:.*]] = arith.select %[[uneven]], %c1, %c8 : index
// CHECK:         scf.parallel
// CHECK:           %[[panels:.*]] = memref.alloc(%[[group]]) {{.*}} : memref<?x72x{{[0-9]+}}xf32>
// CHECK:           vector.maskedload %[[image]]{{.*}} : memref<1x8x42x42xbf16>, vector<16xi1>, vector<16xbf16>
// CHECK:           vector.maskedstore %[[panels]]{{.*}} vector<16xi1>, vector<16xf32>
// CHECK:           vector.fma
func.func @windows(%x: tensor<1x8x42x42xbf16>, %w: tensor<24x72xbf16>, %y: tensor<24x1600xf32>) -> tensor<24x1600xf32> {
  %e = tensor.empty() : tensor<8x3x3x40x40xbf16>
  %win = linalg.generic {indexing_maps = [#read, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x42x42xbf16>) outs(%e : tensor<8x3x3x40x40xbf16>) {
  ^bb0(%v: bf16, %u: bf16):
    linalg.yield %v : bf16
  } -> tensor<8x3x3x40x40xbf16>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<8x3x3x40x40xbf16> into tensor<72x1600xbf16>
  %r = linalg.generic {indexing_maps = [#windows, #filters, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %w : tensor<72x1600xbf16>, tensor<24x72xbf16>) outs(%y : tensor<24x1600xf32>) {
  ^bb0(%v: bf16, %u: bf16, %s: f32):
    %a = arith.extf %v : bf16 to f32
    %b = arith.extf %u : bf16 to f32
    %p = arith.mulf %a, %b : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<24x1600xf32>
  return %r : tensor<24x1600xf32>
}

}
