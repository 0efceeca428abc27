// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// Zen 4 loads as many vectors as it multiplies, and shuffles beside both: rows of 2:4 that share nothing load four values at
// once, repeated in every 16 bytes, and spread each by a shuffle. What rows store is asked for into L2.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @apart
// CHECK:         memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK:         %[[few:.*]] = vector.load %{{.*}} : memref<?xf32>, vector<4xf32>
// CHECK:         %[[wide:.*]] = vector.shuffle %[[few]], %[[few]] [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
// CHECK:         %[[part:.*]] = llvm.inline_asm "", "=v,0" %[[wide]]
// CHECK:         vector.shuffle %[[part]], %[[part]] [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]
// CHECK:         vector.fma
// CHECK:         vector.shuffle %[[part]], %[[part]] [1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13]
module attributes {pith.isa = "avx512-bf16"} {
func.func @apart(%crd: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<512x64xf32>, %y: tensor<256x64xf32>) -> tensor<256x64xf32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<256x512xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<256x512xf32, #nm>, tensor<512x64xf32>) outs(%y : tensor<256x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<256x64xf32>
  return %r : tensor<256x64xf32>
}
}

// -----

// Cores that shuffle where they multiply broadcast each value from memory, and ask for rows into L1.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @beside
// CHECK:         memref.prefetch %{{.*}}, read, locality<3>, data
// CHECK-NOT:     vector.shuffle
// CHECK:         %[[one:.*]] = memref.load %{{.*}} : memref<?xf32>
// CHECK:         vector.broadcast %[[one]] : f32 to vector<64xf32>
module attributes {pith.isa = "avx512-fp16"} {
func.func @beside(%crd: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<512x64xf32>, %y: tensor<256x64xf32>) -> tensor<256x64xf32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<256x512xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<256x512xf32, #nm>, tensor<512x64xf32>) outs(%y : tensor<256x64xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<256x64xf32>
  return %r : tensor<256x64xf32>
}
}
