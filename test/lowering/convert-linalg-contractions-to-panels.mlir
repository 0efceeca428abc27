// RUN: pith-opt --split-input-file --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s

// A dense product becomes packed panels and register tiles: which dimensions are rows, columns and outer loops, and how
// operands may be stored. Beside this file: few rows or columns (-few.mlir), when panels are packed where registers have
// 512 bits (-packing.mlir), convolutions (-windows.mlir).

// One product: tasks are groups of columns, or parts of the rows of those that are left over where threads take equal
// numbers, and pack the panels that they multiply with, rows of four panels together. The accumulators of six rows are added to what the output holds: nothing is put down in between.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx2"} {

// CHECK-LABEL: func.func @matmul
// CHECK:         call @pith_get_num_threads
// CHECK:         %[[threads:.*]] = arith.index_castui
// CHECK:         scf.for
// CHECK:         scf.parallel (%[[thread:.*]], %[[number:.*]]) = (%c0, %c0) to (%[[threads]], %{{.*}}) step
// CHECK:           %[[whole:.*]] = arith.cmpi ult, %[[number]]
// CHECK:           arith.select %[[whole]], %c0, %{{.*}} : index
// CHECK:           arith.select %[[whole]], %c132, %{{.*}} : index
// CHECK:           scf.if
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
// CHECK:         scf.parallel
// CHECK:           %[[h:.*]] = arith.remui %{{.*}}, %c12 : index
// CHECK:           %[[b:.*]] = arith.divui %{{.*}}, %c12 : index
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
// CHECK:         scf.parallel
// CHECK-DAG:       memref.subview %arg0[%[[b:.*]], 0, 0] [1, 64, 96] [1, 1, 1] : {{.*}} to memref<64x96xf32,
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

// A left operand that is stored by columns is transposed first. AVX-512 has registers for six rows of four vectors.

#a = affine_map<(i, j, k) -> (k, i)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @gradient
// CHECK:         %[[copy:.*]] = memref.alloc() {alignment = 64 : i64} : memref<5000xf64>
// CHECK:         scf.parallel
// CHECK:           vector.shuffle
// CHECK:         %[[transposed:.*]] = memref.reinterpret_cast %[[copy]]
// CHECK:         %{{.*}}:6 = scf.for {{.*}} -> (vector<32xf64>
// CHECK:           memref.load %[[transposed]]
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

// Left as they are: a body that is no product, and an operand whose columns lie far apart.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @others
// CHECK-COUNT-2: linalg.generic
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
