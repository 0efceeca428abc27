// RUN: pith-opt --convert-pith-to-loops --cse %s | filecheck %s

// Where shuffles issue beside dot instructions, bf16 in groups is multiplied in pairs: panels stay bf16, two values of a
// row are a dword for every lane, and what they pick of the panel is interleaved, 32 columns by two shuffles. Sums change
// the order of their columns when they enter registers and when they leave.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @pairs
// CHECK:         memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x128x64xbf16>
// CHECK:         %[[sums:.*]] = vector.shuffle %{{.*}}, %{{.*}} [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]
// CHECK:         %[[two:.*]] = vector.load {{.*}} : memref<?xbf16>, vector<2xbf16>
// CHECK:         %[[bits:.*]] = vector.bitcast %[[two]] : vector<2xbf16> to vector<1xi32>
// CHECK:         %[[one:.*]] = vector.extract %[[bits]][0]
// CHECK:         %[[all:.*]] = vector.broadcast %[[one]] : i32 to vector<16xi32>
// CHECK:         %[[dword:.*]] = vector.bitcast %[[all]] : vector<16xi32> to vector<32xbf16>
// CHECK:         %[[x:.*]] = llvm.load {{.*}} -> vector<32xbf16>
// CHECK:         %[[y:.*]] = llvm.load {{.*}} -> vector<32xbf16>
// CHECK:         %[[low:.*]] = vector.shuffle %{{.*}}, %{{.*}} [0, 32, 1, 33, 2, 34, 3, 35, 8, 40,
// CHECK:         x86.avx512.dot %{{.*}}, %[[low]], %[[dword]] : vector<32xbf16> -> vector<16xf32>
// CHECK:         %[[high:.*]] = vector.shuffle %{{.*}}, %{{.*}} [4, 36, 5, 37, 6, 38, 7, 39, 12, 44,
// CHECK:         x86.avx512.dot %{{.*}}, %[[high]], %[[dword]] : vector<32xbf16> -> vector<16xf32>
// CHECK:         vector.shuffle %{{.*}}, %{{.*}} [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]
module attributes {pith.isa = "avx512-bf16"} {
func.func @pairs(%crd: tensor<?xi8>, %val: tensor<?xbf16>, %x: tensor<128x?xbf16>, %y: tensor<64x?xf32>)
    -> tensor<64x?xf32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xbf16>) -> tensor<64x128xbf16, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xbf16, #nm>, tensor<128x?xbf16>) outs(%y : tensor<64x?xf32>) {
  ^bb0(%v: bf16, %w: bf16, %s: f32):
    %v1 = arith.extf %v : bf16 to f32
    %w1 = arith.extf %w : bf16 to f32
    %p = arith.mulf %v1, %w1 : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x?xf32>
  return %r : tensor<64x?xf32>
}
}
