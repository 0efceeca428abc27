// RUN: pith-opt --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s
// RUN: sed -e 's/"avx2"/"sse"/' %s | pith-opt --convert-linalg-contractions-to-panels | filecheck %s --check-prefix=WIDE

// A product of dense bytes with AVX2: rows and panels are widened to pairs of 16 bits, which one instruction multiplies
// and adds. Sums are exact. Four rows x 16 columns are in registers: eight vectors of sums. Without such an instruction
// bytes are widened to the type of the sums: panels as they are packed, rows a chunk at a time.

#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx2"} {
  // CHECK-LABEL: func.func @bytes
  // CHECK:         %[[panels:.*]] = memref.alloc() {alignment = 64 : i64} : memref<16x64x32xi16>
  // CHECK:         arith.extsi %{{.*}} : vector<32xi8> to vector<32xi16>
  // CHECK:         %[[tiles:.*]] = memref.alloc() {alignment = 64 : i64} : memref<16x4x4x32xi16>
  // CHECK:         "pith.dot"(%{{.*}}) : (vector<8xi32>, vector<16xi16>, vector<16xi16>) -> vector<8xi32>
  // CHECK-NOT:     linalg.generic

  // WIDE-LABEL: func.func @bytes
  // WIDE:         %[[chunk:.*]] = memref.alloc() {alignment = 64 : i64} : memref<{{[0-9]+}}x128xi32>
  // WIDE:         arith.extsi %{{.*}} : vector<{{[0-9]+}}xi8> to vector<{{[0-9]+}}xi32>
  // WIDE:         vector.store %{{.*}}, %[[chunk]]
  // WIDE:         memref.load %[[chunk]]
  // WIDE-NOT:     linalg.generic
  func.func @bytes(%a: tensor<64x128xi8>, %x: tensor<128x64xi8>, %y: tensor<64x64xi32>) -> tensor<64x64xi32> {
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %x : tensor<64x128xi8>, tensor<128x64xi8>) outs(%y : tensor<64x64xi32>) {
    ^bb0(%v: i8, %w: i8, %s: i32):
      %v1 = arith.extsi %v : i8 to i32
      %w1 = arith.extsi %w : i8 to i32
      %p = arith.muli %v1, %w1 : i32
      %t = arith.addi %s, %p : i32
      linalg.yield %t : i32
    } -> tensor<64x64xi32>
    return %r : tensor<64x64xi32>
  }
}
