// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// A dense weight, stored as it is, and a few known rows: dot products with the weight where it lies, nothing is packed.

#dense = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#x = affine_map<(i, j, k) -> (i, k)>
#a = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @single
// Memory for the sums of a strip, and no other; two rows, four columns at a time.
// CHECK:         memref.alloc() {{.*}} : memref<2x256xf32>
// CHECK-NOT:     memref.alloc
// CHECK-COUNT-8: vector.fma {{.*}} : vector<16xf32>
module attributes {pith.isa = "avx512"} {
func.func @single(%val: tensor<?xf32>, %x: tensor<2x?xf32>, %y: tensor<2x?xf32>, %m: index, %n: index)
    -> tensor<2x?xf32> {
  %A = "pith.assemble"(%val, %m, %n) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 2>}
      : (tensor<?xf32>, index, index) -> tensor<?x?xf32, #dense>
  %r = linalg.generic {indexing_maps = [#x, #a, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %A : tensor<2x?xf32>, tensor<?x?xf32, #dense>) outs(%y : tensor<2x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<2x?xf32>
  return %r : tensor<2x?xf32>
}
}

// -----

#dense = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#x = affine_map<(i, j, k) -> (i, k)>
#a = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @pairs
// Pairs of bf16 are multiplied as they are stored, where an instruction does that as often as an FMA.
// CHECK-COUNT-8: x86.avx512.dot {{.*}} : vector<32xbf16> -> vector<16xf32>
module attributes {pith.isa = "avx512-bf16"} {
func.func @pairs(%val: tensor<?xbf16>, %x: tensor<2x?xbf16>, %y: tensor<2x?xf32>, %m: index, %n: index)
    -> tensor<2x?xf32> {
  %A = "pith.assemble"(%val, %m, %n) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 2>}
      : (tensor<?xbf16>, index, index) -> tensor<?x?xbf16, #dense>
  %r = linalg.generic {indexing_maps = [#x, #a, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %A : tensor<2x?xbf16>, tensor<?x?xbf16, #dense>) outs(%y : tensor<2x?xf32>) {
  ^bb0(%v: bf16, %w: bf16, %s: f32):
    %v1 = arith.extf %v : bf16 to f32
    %w1 = arith.extf %w : bf16 to f32
    %p = arith.mulf %v1, %w1 : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<2x?xf32>
  return %r : tensor<2x?xf32>
}
}
