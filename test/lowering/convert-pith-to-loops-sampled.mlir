// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s
// RUN: pith-opt --split-input-file --convert-pith-to-loops=templates=sampled --cse %s | filecheck %s

// A product of two dense matrices whose result is stored sparsely (SDDMM): the encoded tensor that the
// product is added to says where. This is how gradients of sparse weights are computed. Nothing dense of
// the size of the result appears.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#s = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @csr
// CHECK-SAME:    (%[[POS:[a-z0-9]+]]: tensor<?xi32>, %[[CRD:[a-z0-9]+]]: tensor<?xi32>, %[[VAL:[a-z0-9]+]]: tensor<?xf32>,
// CHECK-DAG:     %[[pos:.*]] = bufferization.to_buffer %[[POS]] read_only
// CHECK-DAG:     %[[crd:.*]] = bufferization.to_buffer %[[CRD]] read_only
// CHECK-DAG:     %[[val:.*]] = bufferization.to_buffer %[[VAL]] : tensor<?xf32>
//
// The left factor is copied as it is, the right one transposed: both now have k last.
// CHECK:         scf.parallel
// CHECK-NOT:       vector.shuffle
// CHECK:           scf.reduce
// CHECK:         scf.parallel
// CHECK:           vector.shuffle
// CHECK:           scf.reduce
//
// A task takes 32 rows. It lists their entries: a walk over the levels of the format.
// CHECK:         scf.parallel
// CHECK:           scf.for
// CHECK:             memref.load %[[pos]]
// CHECK:             memref.load %[[crd]]
// CHECK:             memref.store
//
// Then, per strip of k, block of columns and row: 8 dot products at a time, a vector of k per step.
// CHECK:           scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>,
// CHECK-COUNT-9:     vector.load {{.*}} memref<?xf32>, vector<8xf32>
// CHECK-COUNT-8:     vector.fma
// Their lanes are added up, and eight neighbouring values written.
// CHECK:           vector.shuffle
// CHECK:           arith.addf
// CHECK:           vector.store {{.*}}, %[[val]][
//
// The result is the pattern with the new values.
// CHECK:         %[[new:.*]] = bufferization.to_tensor %[[val]]
// CHECK:         return %[[new]]
module attributes {pith.isa = "avx2"} {
func.func @csr(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xf32>,
               %dy: tensor<64x128xf32>, %x: tensor<128x96xf32>) -> tensor<?xf32> {
  %S = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<64x96xf32, #csr>
  %dw = linalg.generic {indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%dy, %x : tensor<64x128xf32>, tensor<128x96xf32>) outs(%S : tensor<64x96xf32, #csr>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x96xf32, #csr>
  %p, %c, %new = "pith.disassemble"(%dw) {resultSegmentSizes = array<i32: 1, 1, 0, 1>}
      : (tensor<64x96xf32, #csr>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>)
  return %new : tensor<?xf32>
}
}

// -----

// Rows that share their columns (V or blocks; here 4 rows) are a tile of 4 rows and 2 columns: 6 loads
// for 8 multiply-adds, of vectors as long as registers. bf16 factors are widened while they are packed.

#v4 = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 4, d1 mod 4, d0 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (k, i)>
#b = affine_map<(i, j, k) -> (k, j)>
#s = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @shared_rows
// CHECK:         arith.extf {{.*}} : vector<8xbf16> to vector<8xf32>
// CHECK:         scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>,
// CHECK-COUNT-6:   vector.load {{.*}} memref<?xf32>, vector<16xf32>
// CHECK-NOT:       vector.load
// CHECK-COUNT-8:   vector.fma
// CHECK-NOT:       vector.fma
// CHECK:           scf.yield
module attributes {pith.isa = "avx512"} {
func.func @shared_rows(%crd: tensor<?xi8>, %val: tensor<?xf32>, %dy: tensor<128x64xbf16>, %x: tensor<128x96xbf16>)
    -> tensor<?xf32> {
  %S = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x96xf32, #v4>
  %dw = linalg.generic {indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%dy, %x : tensor<128x64xbf16>, tensor<128x96xbf16>) outs(%S : tensor<64x96xf32, #v4>) {
  ^bb0(%v: bf16, %w: bf16, %s: f32):
    %v1 = arith.extf %v : bf16 to f32
    %w1 = arith.extf %w : bf16 to f32
    %p = arith.mulf %v1, %w1 : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x96xf32, #v4>
  %c, %new = "pith.disassemble"(%dw) {resultSegmentSizes = array<i32: 0, 0, 1, 1>}
      : (tensor<64x96xf32, #v4>) -> (tensor<?xi8>, tensor<?xf32>)
  return %new : tensor<?xf32>
}
}

// -----

// Of few terms whole rows are made, four at a time, and what is stored is taken from them: when the kernel starts, the
// sizes and what is stored say whether. Groups are taken a register at a time, by one permutation of two registers.
#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (k, i)>
#b = affine_map<(i, j, k) -> (k, j)>
#s = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @few_terms
// CHECK:         scf.if
// CHECK:           scf.parallel
// CHECK:             memref.alloc{{.*}} : memref<4x96xf32>
// CHECK:             scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>,
// CHECK-COUNT-4:       vector.load {{.*}} vector<16xf32>
// CHECK:               vector.broadcast
// CHECK-COUNT-4:       vector.fma
// CHECK:             vector.load {{.*}} memref<4x96xf32>, vector<32xf32>
// CHECK:             "pith.permute"
// CHECK:             vector.store {{.*}} : memref<?xf32>, vector<16xf32>
// CHECK:         } else {
// What is below the zeros is overwritten: they are written for dot products alone, which are added up.
// CHECK:           linalg.fill
module attributes {pith.isa = "avx512"} {
func.func @few_terms(%crd: tensor<?xi8>, %init: tensor<?xf32>, %dy: tensor<?x64xf32>, %x: tensor<?x96xf32>)
    -> tensor<?xf32> {
  %zero = arith.constant 0.0 : f32
  %val = linalg.generic {indexing_maps = [affine_map<(p) -> ()>, affine_map<(p) -> (p)>], iterator_types = ["parallel"]}
      ins(%zero : f32) outs(%init : tensor<?xf32>) {
  ^bb0(%z: f32, %o: f32):
    linalg.yield %z : f32
  } -> tensor<?xf32>
  %S = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x96xf32, #nm>
  %dw = linalg.generic {indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%dy, %x : tensor<?x64xf32>, tensor<?x96xf32>) outs(%S : tensor<64x96xf32, #nm>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x96xf32, #nm>
  %c, %new = "pith.disassemble"(%dw) {resultSegmentSizes = array<i32: 0, 0, 1, 1>}
      : (tensor<64x96xf32, #nm>) -> (tensor<?xi8>, tensor<?xf32>)
  return %new : tensor<?xf32>
}
}
