// RUN: pith-opt --split-input-file --convert-pith-to-loops --canonicalize --cse %s | filecheck %s

// Tiles without tile registers. bf16 in blocks of 8x32: the dense side is packed in pairs of contracted coordinates, 16
// columns a row. A loop over the 16 positions of a tile holds 8 rows x 32 columns in sixteen vectors of sums. Two rows
// of panels serve all rows; a pair of each row is read from the stored block and goes to every lane.

#blocks = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 8, d1 floordiv 32, d0 mod 8, d1 mod 32)>,
    [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">, #pith.level<"dense">], 32, 32, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512-bf16"} {
  // CHECK-LABEL: func.func @pairs
  // CHECK:         memref.alloc() {alignment = 64 : i64} : memref<4x64x32xbf16>
  // CHECK:         vector.interleave %{{.*}}, %{{.*}} : vector<16xbf16> -> vector<32xbf16>
  // CHECK:         scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>,
  // CHECK:           scf.for
  // CHECK:             %[[b0:.*]] = vector.load %{{.*}} : memref<4x64x32xbf16>, vector<32xbf16>
  // CHECK:             %[[b1:.*]] = vector.load %{{.*}} : memref<4x64x32xbf16>, vector<32xbf16>
  // CHECK:             %[[pair:.*]] = vector.load {{.*}} : memref<?xbf16>, vector<2xbf16>
  // CHECK:             %[[bits:.*]] = vector.bitcast %[[pair]] : vector<2xbf16> to vector<1xi32>
  // CHECK:             %[[one:.*]] = vector.extract %[[bits]][0]
  // CHECK:             %[[all:.*]] = vector.broadcast %[[one]] : i32 to vector<16xi32>
  // CHECK:             %[[a0:.*]] = vector.bitcast %[[all]] : vector<16xi32> to vector<32xbf16>
  // CHECK:             x86.avx512.dot %{{.*}}, %[[b0]], %[[a0]] : vector<32xbf16> -> vector<16xf32>
  // CHECK:             x86.avx512.dot %{{.*}}, %[[b1]], %[[a0]] : vector<32xbf16> -> vector<16xf32>
  func.func @pairs(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %val: tensor<?xbf16>, %x: tensor<128x64xbf16>,
                   %y: tensor<64x64xf32>) -> tensor<64x64xf32> {
    %A = "pith.assemble"(%pos, %crd, %val) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}
        : (tensor<?xi32>, tensor<?xi32>, tensor<?xbf16>) -> tensor<64x128xbf16, #blocks>
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%A, %x : tensor<64x128xbf16, #blocks>, tensor<128x64xbf16>) outs(%y : tensor<64x64xf32>) {
    ^bb0(%v: bf16, %w: bf16, %s: f32):
      %v1 = arith.extf %v : bf16 to f32
      %w1 = arith.extf %w : bf16 to f32
      %p = arith.mulf %v1, %w1 : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<64x64xf32>
    return %r : tensor<64x64xf32>
  }
}

// -----

// Bytes with VNNI: panels hold unsigned ones (128 more: the sign bit flipped), and sums start from -128 times the
// sum of the row: dot products with 128. Two row tiles meet a column tile that is left, as many sums as one meets two.

#dense = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512-vnni"} {
  // CHECK-LABEL: func.func @bytes
  // CHECK-DAG:     %[[flip:.*]] = arith.constant dense<-128> : vector<64xi8>
  // CHECK:         %[[packed:.*]] = arith.xori %{{.*}}, %[[flip]] : vector<64xi8>
  // CHECK:         vector.store %[[packed]]
  // CHECK-DAG:     memref.alloca() {alignment = 64 : i64} : memref<16x16xi32>
  // CHECK-DAG:     memref.alloca() {alignment = 64 : i64} : memref<8x32xi32>
  // CHECK:         %[[row:.*]] = vector.load %{{.*}} : memref<?xi8>, vector<64xi8>
  // CHECK:         "pith.dot"(%{{.*}}, %[[flip]], %[[row]]) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
  // CHECK:         %[[sum:.*]] = vector.reduction <add>, %{{.*}} : vector<16xi32> into i32
  // CHECK:         arith.subi %{{.*}}, %[[sum]] : i32
  func.func @bytes(%val: tensor<?xi8>, %x: tensor<128x48xi8>, %y: tensor<64x48xi32>) -> tensor<64x48xi32> {
    %A = "pith.assemble"(%val) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 0>}
        : (tensor<?xi8>) -> tensor<64x128xi8, #dense>
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%A, %x : tensor<64x128xi8, #dense>, tensor<128x48xi8>) outs(%y : tensor<64x48xi32>) {
    ^bb0(%v: i8, %w: i8, %s: i32):
      %v1 = arith.extsi %v : i8 to i32
      %w1 = arith.extsi %w : i8 to i32
      %p = arith.muli %v1, %w1 : i32
      %t = arith.addi %s, %p : i32
      linalg.yield %t : i32
    } -> tensor<64x48xi32>
    return %r : tensor<64x48xi32>
  }
}

// -----

// Rows of 4096 bytes lie in one set of L1: for 16 columns or fewer, sixteen of them are copied into tiles.

#dense = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512-vnni"} {
  // CHECK-LABEL: func.func @apart
  // CHECK:         %[[columns:.*]] = tensor.dim %{{.*}}, %{{.*}} : tensor<64x?xi32>
  // CHECK:         %[[more:.*]] = arith.cmpi ugt, %[[columns]], %c16 : index
  // CHECK:         scf.if %[[more]] {
  // CHECK-NOT:       memref<8x64x8x64xi8>
  // CHECK:         } else {
  // CHECK:           memref.alloc() {alignment = 64 : i64} : memref<8x64x8x64xi8>
  func.func @apart(%val: tensor<?xi8>, %x: tensor<4096x?xi8>, %y: tensor<64x?xi32>) -> tensor<64x?xi32> {
    %A = "pith.assemble"(%val) {operandSegmentSizes = array<i32: 0, 0, 0, 1, 0>}
        : (tensor<?xi8>) -> tensor<64x4096xi8, #dense>
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%A, %x : tensor<64x4096xi8, #dense>, tensor<4096x?xi8>) outs(%y : tensor<64x?xi32>) {
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
