// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// Rows of CSR that meet much of a panel are visited in strips of it which L1 holds: panel rows are 64 columns of f32, 256
// bytes, and of 32 KiB 96 of them leave room for the rest. pith.compile says how much is stored (pith.density). Where a row
// stands is kept from strip to strip, and what is not of the strip ends its loop.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @half_is_stored
// CHECK:         scf.parallel
// CHECK:           %[[cursors:.*]] = memref.alloca() : memref<{{.*}}xindex>
// CHECK:           scf.for %{{.*}} = %c0 to %c512 step %c96
// CHECK:             %[[to:.*]] = arith.minui
// CHECK:             memref.load %[[cursors]]
// CHECK:             scf.while
// CHECK:               arith.cmpi ult, %{{.*}}, %[[to]]
// CHECK:             memref.store %{{.*}}, %[[cursors]]
module attributes {pith.isa = "avx2"} {
func.func @half_is_stored(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<512x64xf32>,
                          %y: tensor<256x64xf32>) -> tensor<256x64xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>, pith.density = 5.000000e-01 : f32}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<256x512xf32, #csr>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<256x512xf32, #csr>, tensor<512x64xf32>) outs(%y : tensor<256x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<256x64xf32>
  return %r : tensor<256x64xf32>
}
}

// -----

// Of rows that meet little of it, or nobody knows how much, the panel comes from L2 in one pass.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @little_is_stored
// CHECK-NOT:     scf.while
module attributes {pith.isa = "avx2"} {
func.func @little_is_stored(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>, %x: tensor<512x64xf32>,
                            %y: tensor<256x64xf32>) -> tensor<256x64xf32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>, pith.density = 6.250000e-02 : f32}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<256x512xf32, #csr>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<256x512xf32, #csr>, tensor<512x64xf32>) outs(%y : tensor<256x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<256x64xf32>
  return %r : tensor<256x64xf32>
}
}

// -----

// Of 2:4 a strip of L1 is one unrolled block, 32 groups of 2 here: a row takes no loop in it. 420 groups are 13 of these and
// 4 that are left, a block of their own: 4 divide 420, and their coordinates are whole bytes. Rows begin inside of a cache
// line (of 16 values), so that the 64 values of a strip are in up to 5 and their 16 bytes of coordinates in up to 2: all are
// asked for.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @strips_that_do_not_divide
// CHECK-SAME:    %[[crd:[a-z0-9]+]]: tensor<?xi8>, %[[val:[a-z0-9]+]]: tensor<?xf32>
// CHECK-DAG:     %[[CRD:.*]] = bufferization.to_buffer %[[crd]] read_only
// CHECK-DAG:     %[[VAL:.*]] = bufferization.to_buffer %[[val]] read_only
// CHECK:         scf.parallel
// CHECK:           scf.for %{{.*}} = %c0 to %c416 step %c32
// CHECK:             scf.for
// CHECK-COUNT-2:       memref.prefetch %[[CRD]]
// CHECK-NOT:           memref.prefetch %[[CRD]]
// CHECK-COUNT-5:       memref.prefetch %[[VAL]]
// CHECK-NOT:           memref.prefetch
// CHECK-NOT:           scf.for
// CHECK-COUNT-64:      vector.fma
// CHECK-NOT:           vector.fma
// CHECK:           scf.for
// CHECK-NOT:         scf.for
// CHECK-COUNT-8:     vector.fma
// CHECK-NOT:         vector.fma
// CHECK:           scf.for
module attributes {pith.isa = "avx512"} {
func.func @strips_that_do_not_divide(%crd: tensor<?xi8>, %val: tensor<?xf32>, %rows: index, %x: tensor<1680x64xf32>,
                                     %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %A = "pith.assemble"(%crd, %val, %rows) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 1>}
      : (tensor<?xi8>, tensor<?xf32>, index) -> tensor<?x1680xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x1680xf32, #nm>, tensor<1680x64xf32>) outs(%y : tensor<?x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
}

// -----

// 105 groups of C1(2:4)->C0(2:4), 4 bits of C1 each: every other row begins inside a byte. 8 groups are a block. Their word of
// C1 is 4 bytes from the row's first on and the byte with the last bit behind them, shifted by the bits of other rows.

#nested = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
                       [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @rows_that_begin_inside_a_byte
// CHECK:         scf.for %{{.*}} = %c0 to %c104 step %c8
// CHECK:           vector.load %{{.*}} : memref<?xi8>, vector<4xi8>
// CHECK:           %[[word:.*]] = arith.index_castui %{{.*}} : i32 to index
// CHECK:           %[[byte:.*]] = arith.index_castui %{{.*}} : i8 to index
// CHECK:           %[[last:.*]] = arith.shli %[[byte]], %c32
// CHECK:           %[[bits:.*]] = arith.ori %[[word]], %[[last]]
// CHECK:           arith.shrui %[[bits]], %{{.*}}
module attributes {pith.isa = "avx512"} {
func.func @rows_that_begin_inside_a_byte(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %rows: index,
                                         %x: tensor<1680x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %A = "pith.assemble"(%c1, %c0, %val, %rows) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 1>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>, index) -> tensor<?x1680xf32, #nested>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x1680xf32, #nested>, tensor<1680x64xf32>) outs(%y : tensor<?x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
}
