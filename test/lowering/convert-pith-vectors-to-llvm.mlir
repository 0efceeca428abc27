// RUN: pith-opt --split-input-file --convert-pith-vectors-to-llvm %s | filecheck %s

// One instruction where the processor has it.

module attributes {pith.isa = "avx2"} {
// CHECK-LABEL: func.func @avx2
// CHECK-SAME:    (%[[x:.*]]: vector<8xf32>, %[[i:.*]]: vector<8xi32>)
// CHECK:         %[[r:.*]] = llvm.call_intrinsic "llvm.x86.avx2.permps"(%[[x]], %[[i]])
// CHECK:         return %[[r]]
func.func @avx2(%x: vector<8xf32>, %i: vector<8xi32>) -> vector<8xf32> {
  %r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>
  return %r : vector<8xf32>
}
}

// -----

// Row by row, within halves of a register.

module attributes {pith.isa = "avx2"} {
// CHECK-LABEL: func.func @halves
// CHECK-SAME:    (%[[x:.*]]: vector<2x4xf32>, %[[i:.*]]: vector<2x4xi32>)
// CHECK:         %[[fx:.*]] = vector.shape_cast %[[x]] : vector<2x4xf32> to vector<8xf32>
// CHECK:         %[[fi:.*]] = vector.shape_cast %[[i]] : vector<2x4xi32> to vector<8xi32>
// CHECK:         %[[r:.*]] = llvm.call_intrinsic "llvm.x86.avx.vpermilvar.ps.256"(%[[fx]], %[[fi]])
// CHECK:         vector.shape_cast %[[r]] : vector<8xf32> to vector<2x4xf32>
func.func @halves(%x: vector<2x4xf32>, %i: vector<2x4xi32>) -> vector<2x4xf32> {
  %r = "pith.permute"(%x, %i) : (vector<2x4xf32>, vector<2x4xi32>) -> vector<2x4xf32>
  return %r : vector<2x4xf32>
}
}

// -----

module attributes {pith.isa = "avx512"} {
// CHECK-LABEL: func.func @avx512
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
func.func @avx512(%x: vector<16xf32>, %i: vector<16xi32>) -> vector<16xf32> {
  %r = "pith.permute"(%x, %i) : (vector<16xf32>, vector<16xi32>) -> vector<16xf32>
  return %r : vector<16xf32>
}

// Two registers to choose from.

// CHECK-LABEL: func.func @two
// CHECK-SAME:    (%[[x:.*]]: vector<32xf32>, %[[i:.*]]: vector<16xi32>)
// CHECK-DAG:     %[[low:.*]] = vector.shuffle %[[x]], %[[x]] [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
// CHECK-DAG:     %[[high:.*]] = vector.shuffle %[[x]], %[[x]] [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.ps.512"(%[[low]], %[[i]], %[[high]])
func.func @two(%x: vector<32xf32>, %i: vector<16xi32>) -> vector<16xf32> {
  %r = "pith.permute"(%x, %i) : (vector<32xf32>, vector<16xi32>) -> vector<16xf32>
  return %r : vector<16xf32>
}
}

// -----

// Element by element where it does not.

module attributes {pith.isa = "sse"} {
// CHECK-LABEL: func.func @one_by_one
// CHECK-SAME:    (%[[x:.*]]: vector<2xf64>, %[[i:.*]]: vector<2xi32>)
// CHECK:         %[[i0:.*]] = vector.extract %[[i]][0]
// CHECK:         %[[low:.*]] = arith.andi %[[i0]], %{{.*}} : i32
// CHECK:         %[[at:.*]] = arith.index_cast %[[low]] : i32 to index
// CHECK:         %[[e:.*]] = vector.extract %[[x]][%[[at]]]
// CHECK:         vector.insert %[[e]], %[[x]] [0]
func.func @one_by_one(%x: vector<2xf64>, %i: vector<2xi32>) -> vector<2xf64> {
  %r = "pith.permute"(%x, %i) : (vector<2xf64>, vector<2xi32>) -> vector<2xf64>
  return %r : vector<2xf64>
}
}

// -----

// Rows of rows: what an index chooses from is its own row.

module attributes {pith.isa = "sse"} {
// CHECK-LABEL: func.func @row_by_row
// CHECK-SAME:    (%[[x:.*]]: vector<2x2xf32>, %[[i:.*]]: vector<2x2xi32>)
// CHECK-COUNT-2: vector.extract %[[x]][0, %{{.*}}]
// CHECK-COUNT-2: vector.extract %[[x]][1, %{{.*}}]
func.func @row_by_row(%x: vector<2x2xf32>, %i: vector<2x2xi32>) -> vector<2x2xf32> {
  %r = "pith.permute"(%x, %i) : (vector<2x2xf32>, vector<2x2xi32>) -> vector<2x2xf32>
  return %r : vector<2x2xf32>
}
}

// -----

// Dot products: VNNI for bytes, where there is none their products in i32.

module attributes {pith.isa = "avx512-vnni"} {
// CHECK-LABEL: func.func @vnni
// CHECK-SAME:    (%[[s:.*]]: vector<16xi32>, %[[x:.*]]: vector<64xi8>, %[[y:.*]]: vector<64xi8>)
// CHECK:         %[[r:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[s]], %[[x]], %[[y]])
// CHECK:         return %[[r]]
func.func @vnni(%s: vector<16xi32>, %x: vector<64xi8>, %y: vector<64xi8>) -> vector<16xi32> {
  %r = "pith.dot"(%s, %x, %y) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
  return %r : vector<16xi32>
}
}

// -----

module attributes {pith.isa = "avx2-vnni"} {
// CHECK-LABEL: func.func @vnni_256
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"
func.func @vnni_256(%s: vector<8xi32>, %x: vector<32xi8>, %y: vector<32xi8>) -> vector<8xi32> {
  %r = "pith.dot"(%s, %x, %y) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  return %r : vector<8xi32>
}
}

// -----

module attributes {pith.isa = "avx2"} {
// CHECK-LABEL: func.func @pairs
// CHECK-SAME:    (%[[s:.*]]: vector<8xi32>, %[[x:.*]]: vector<16xi16>, %[[y:.*]]: vector<16xi16>)
// CHECK:         %[[p:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[x]], %[[y]])
// CHECK:         arith.addi %[[s]], %[[p]]
func.func @pairs(%s: vector<8xi32>, %x: vector<16xi16>, %y: vector<16xi16>) -> vector<8xi32> {
  %r = "pith.dot"(%s, %x, %y) : (vector<8xi32>, vector<16xi16>, vector<16xi16>) -> vector<8xi32>
  return %r : vector<8xi32>
}

// CHECK-LABEL: func.func @bytes
// CHECK:         %[[a:.*]] = vector.bitcast %{{.*}} : vector<32xi8> to vector<8xi32>
// CHECK:         %[[b:.*]] = vector.bitcast %{{.*}} : vector<32xi8> to vector<8xi32>
// CHECK:         %[[u:.*]] = arith.shrui
// CHECK:         %[[i:.*]] = arith.shrsi
// CHECK:         arith.muli %[[u]], %[[i]]
func.func @bytes(%s: vector<8xi32>, %x: vector<32xi8>, %y: vector<32xi8>) -> vector<8xi32> {
  %r = "pith.dot"(%s, %x, %y) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  return %r : vector<8xi32>
}
}

// -----

// Compressed lanes and moved bits are LLVM's own, which expands them where there is no instruction. Lanes narrower than
// 32 bits are widened.

module attributes {pith.isa = "avx512"} {
// CHECK-LABEL: func.func @compress
// CHECK-SAME:    (%[[x:.*]]: vector<16xf32>, %[[m:.*]]: vector<16xi1>, %[[h:.*]]: vector<16xf16>)
// CHECK-DAG:     %[[p:.*]] = llvm.mlir.poison : vector<16xf32>
// CHECK-DAG:     llvm.call_intrinsic "llvm.experimental.vector.compress"(%[[x]], %[[m]], %[[p]])
// CHECK-DAG:     %[[bits:.*]] = arith.bitcast %[[h]] : vector<16xf16> to vector<16xi16>
// CHECK-DAG:     %[[wide:.*]] = arith.extui %[[bits]] : vector<16xi16> to vector<16xi32>
// CHECK:         %[[c:.*]] = llvm.call_intrinsic "llvm.experimental.vector.compress"(%[[wide]], %[[m]], %{{.*}})
// CHECK:         %[[n:.*]] = arith.trunci %[[c]] : vector<16xi32> to vector<16xi16>
// CHECK:         arith.bitcast %[[n]] : vector<16xi16> to vector<16xf16>
func.func @compress(%x: vector<16xf32>, %m: vector<16xi1>, %h: vector<16xf16>) -> (vector<16xf32>, vector<16xf16>) {
  %r = "pith.compress_lanes"(%x, %m) : (vector<16xf32>, vector<16xi1>) -> vector<16xf32>
  %s = "pith.compress_lanes"(%h, %m) : (vector<16xf16>, vector<16xi1>) -> vector<16xf16>
  return %r, %s : vector<16xf32>, vector<16xf16>
}

// CHECK-LABEL: func.func @bits
// CHECK-SAME:    (%[[x:.*]]: i64, %[[m:.*]]: i64)
// CHECK:         %[[e:.*]] = llvm.call_intrinsic "llvm.pext"(%[[x]], %[[m]])
// CHECK:         llvm.call_intrinsic "llvm.pdep"(%[[e]], %[[m]])
func.func @bits(%x: i64, %m: i64) -> i64 {
  %e = "pith.extract_bits"(%x, %m) : (i64, i64) -> i64
  %d = "pith.deposit_bits"(%e, %m) : (i64, i64) -> i64
  return %d : i64
}
}
