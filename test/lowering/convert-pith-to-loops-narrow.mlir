// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// Products of narrow types run on f32 registers: the dense operand is packed as f32, stored values are widened
// a strip of a row at a time.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @bf16
// A bf16 is the upper half of an f32.
// CHECK:         %[[panels:.*]] = memref.alloc({{.*}}) {alignment = 64 : i64} : memref<?x128x64xf32>
// CHECK:           %[[row:.*]] = vector.load {{.*}} : memref<128x?xbf16>, vector<64xbf16>
// CHECK:           %[[bits:.*]] = arith.bitcast %[[row]] : vector<64xbf16> to vector<64xi16>
// CHECK:           %[[wide:.*]] = arith.extui %[[bits]] : vector<64xi16> to vector<64xi32>
// CHECK:           %[[up:.*]] = arith.shli %[[wide]]
// CHECK:           arith.bitcast %[[up]] : vector<64xi32> to vector<64xf32>
// Values of one strip: 32 groups of 2.
// CHECK:         %[[strip:.*]] = memref.alloca() {alignment = 64 : i64} : memref<1x64xf32>
// CHECK:           vector.load %{{.*}} : memref<?xbf16>, vector<8xbf16>
// CHECK:           vector.store %{{.*}}, %[[strip]]{{.*}} : memref<1x64xf32>, vector<8xf32>
// CHECK:             memref.load %[[strip]]
// CHECK:             vector.fma {{.*}} : vector<64xf32>
module attributes {pith.isa = "avx2"} {
func.func @bf16(%crd: tensor<?xi8>, %val: tensor<?xbf16>, %x: tensor<128x?xbf16>, %y: tensor<64x?xf32>)
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

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @bytes
// Sums of up to 1024 products of two bytes are exact in f32; results of a strip are added as i32.
// CHECK:         memref.alloca() {alignment = 64 : i64} : memref<65x64xi32>
// CHECK:         %[[sum:.*]] = scf.for {{.*}} -> (vector<64xf32>)
// CHECK:           vector.fma
// CHECK:         %[[whole:.*]] = arith.fptosi %[[sum]] : vector<64xf32> to vector<64xi32>
// CHECK:         %[[before:.*]] = vector.load {{.*}} : memref<?x64xi32, {{.*}}>, vector<64xi32>
// CHECK:         arith.addi %[[before]], %[[whole]] : vector<64xi32>
module attributes {pith.isa = "avx2"} {
func.func @bytes(%crd: tensor<?xi8>, %val: tensor<?xi8>, %x: tensor<128x?xi8>, %y: tensor<64x?xi32>)
    -> tensor<64x?xi32> {
  %A = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>) -> tensor<64x128xi8, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xi8, #nm>, tensor<128x?xi8>) outs(%y : tensor<64x?xi32>)
      attrs = {pith.variant = "lanes=64,rows=1"} {
  ^bb0(%v: i8, %w: i8, %s: i32):
    %v1 = arith.extsi %v : i8 to i32
    %w1 = arith.extsi %w : i8 to i32
    %p = arith.muli %v1, %w1 : i32
    %t = arith.addi %s, %p : i32
    linalg.yield %t : i32
  } -> tensor<64x?xi32>
  return %r : tensor<64x?xi32>
}
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @bytes_of_rows_without_strips
// Rows that cannot be cut are summed in i32 throughout.
// CHECK-NOT:     vector.fma
// CHECK:         arith.muli {{.*}} : vector<64xi32>
// CHECK:         arith.addi {{.*}} : vector<64xi32>
// CHECK-NOT:     vector.fma
module attributes {pith.isa = "avx2"} {
func.func @bytes_of_rows_without_strips(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xi8>,
    %x: tensor<128x?xi8>, %y: tensor<64x?xi32>) -> tensor<64x?xi32> {
  %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
      : (tensor<?xi32>, tensor<?xi32>, tensor<?xi8>) -> tensor<64x128xi8, #csr>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xi8, #csr>, tensor<128x?xi8>) outs(%y : tensor<64x?xi32>) {
  ^bb0(%v: i8, %w: i8, %s: i32):
    %v1 = arith.extsi %v : i8 to i32
    %w1 = arith.extsi %w : i8 to i32
    %p = arith.muli %v1, %w1 : i32
    %t = arith.addi %s, %p : i32
    linalg.yield %t : i32
  } -> tensor<64x?xi32>
  return %r : tensor<64x?xi32>
}
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @four_bits
// One scale and zero point per group; 32 values are 16 bytes, whose halves become bytes of their own.
// CHECK:         %[[scale:.*]] = memref.load {{.*}} : memref<?xf32>
// CHECK:         %[[zero:.*]] = memref.load {{.*}} : memref<?xi8>
// CHECK:           %[[bytes:.*]] = vector.load {{.*}} : memref<?xi8>, vector<16xi8>
// CHECK:           %[[halves:.*]] = vector.bitcast {{.*}} : vector<16xi16> to vector<32xi8>
// CHECK:           %[[from:.*]] = arith.subi %{{.*}}, %{{.*}} : vector<32xi8>
// CHECK:           %[[real:.*]] = arith.sitofp {{.*}} : vector<32xi8> to vector<32xf32>
// CHECK:           %[[value:.*]] = arith.mulf %[[real]], {{.*}} : vector<32xf32>
// CHECK:           vector.store %[[value]], {{.*}} : memref<1x64xf32>, vector<32xf32>
// CHECK:         vector.fma {{.*}} : vector<64xf32>
// CHECK-NOT:     "pith.
module attributes {pith.isa = "avx2"} {
func.func @four_bits(%crd: tensor<?xi8>, %val: tensor<?xi8>, %scales: tensor<?xf32>, %zeros: tensor<?xi8>,
    %x: tensor<128x?xf32>, %y: tensor<64x?xf32>) -> tensor<64x?xf32> {
  %Q = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>) -> tensor<64x128xi4, #nm>
  %A = "pith.dequantize"(%Q, %scales, %zeros) {group = 32 : i64}
      : (tensor<64x128xi4, #nm>, tensor<?xf32>, tensor<?xi8>) -> tensor<64x128xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #nm>, tensor<128x?xf32>) outs(%y : tensor<64x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x?xf32>
  return %r : tensor<64x?xf32>
}
}

// -----

#rows = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @four_bits_by_a_column
// Dense rows of whole groups: of 32 elements of the column first the even ones ...
// CHECK:         vector.shuffle {{.*}} [0, 2, 4, {{.*}}, 30] : vector<16xf32>, vector<16xf32>
// ... and every group looks up what 4 bits stand for: the even values of 16 bytes, then the odd ones.
// CHECK:         %[[levels:.*]] = arith.mulf {{.*}} : vector<16xf32>
// CHECK:         %[[bytes:.*]] = vector.load {{.*}} : memref<?xi8>, vector<16xi8>
// CHECK:         %[[pairs:.*]] = arith.extui %[[bytes]] : vector<16xi8> to vector<16xi32>
// CHECK:         "pith.permute"(%[[levels]], %[[pairs]])
// CHECK:         %[[high:.*]] = arith.shrui %[[pairs]], {{.*}} : vector<16xi32>
// CHECK:         "pith.permute"(%[[levels]], %[[high]])
// CHECK-NOT:     pith.dequantize
module attributes {pith.isa = "avx512"} {
func.func @four_bits_by_a_column(%val: tensor<?xi8>, %scales: tensor<?xf32>, %zeros: tensor<?xi8>,
    %x: tensor<128x1xf32>, %y: tensor<64x1xf32>) -> tensor<64x1xf32> {
  %Q = "pith.assemble"(%val) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 0>}
      : (tensor<?xi8>) -> tensor<64x128xi4, #rows>
  %A = "pith.dequantize"(%Q, %scales, %zeros) {group = 32 : i64}
      : (tensor<64x128xi4, #rows>, tensor<?xf32>, tensor<?xi8>) -> tensor<64x128xf32, #rows>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #rows>, tensor<128x1xf32>) outs(%y : tensor<64x1xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x1xf32>
  return %r : tensor<64x1xf32>
}
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @four_bits_of_groups_by_a_column
// 16 stored values of 2:4 are two words beside each other, which lanes take in turn; they find their coordinates in one
// word, and what those choose from in two registers. A block is all that a group of 64 has.
// CHECK:         %[[levels:.*]] = arith.mulf {{.*}} : vector<16xf32>
// CHECK:         %[[bytes:.*]] = vector.load {{.*}} : memref<?xi8>, vector<8xi8>
// CHECK:         %[[words:.*]] = vector.bitcast %[[bytes]] : vector<8xi8> to vector<2xi32>
// CHECK:         %[[all:.*]] = vector.shuffle %[[words]], %[[words]] [0, 1, 0, 1, {{.*}}] : vector<2xi32>, vector<2xi32>
// CHECK:         %[[integers:.*]] = arith.shrui %[[all]], {{.*}} : vector<16xi32>
// CHECK:         "pith.permute"(%[[levels]], %[[integers]])
// CHECK:         "pith.permute"(%{{.*}}, %{{.*}}) : (vector<32xf32>, vector<16xi32>) -> vector<16xf32>
// CHECK-COUNT-3: "pith.permute"(%[[levels]], %{{.*}})
module attributes {pith.isa = "avx512"} {
func.func @four_bits_of_groups_by_a_column(%crd: tensor<?xi8>, %val: tensor<?xi8>, %scales: tensor<?xf32>,
    %zeros: tensor<?xi8>, %x: tensor<256x1xf32>, %y: tensor<64x1xf32>) -> tensor<64x1xf32> {
  %Q = "pith.assemble"(%crd, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>) -> tensor<64x256xi4, #nm>
  %A = "pith.dequantize"(%Q, %scales, %zeros) {group = 64 : i64}
      : (tensor<64x256xi4, #nm>, tensor<?xf32>, tensor<?xi8>) -> tensor<64x256xf32, #nm>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x256xf32, #nm>, tensor<256x1xf32>) outs(%y : tensor<64x1xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x1xf32>
  return %r : tensor<64x1xf32>
}
}
