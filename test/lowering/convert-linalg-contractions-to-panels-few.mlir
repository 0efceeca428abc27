// RUN: pith-opt --split-input-file --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s

// Products of few rows or few columns: packing would take longer than multiplying, so the matrix is read where it lies.

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

// Two columns are the two rows of the transposed product.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @two_columns
// CHECK-NOT:   linalg.generic
// CHECK:       vector.fma
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
