// RUN: pith-opt --pith-emulate-x86 --cse %s | filecheck %s
// RUN: pith-opt --pith-emulate-x86=when=asked %s | filecheck %s --check-prefix=REAL
// RUN: pith-opt --vector-to-llvm %s | filecheck %s --check-prefix=REAL-LLVM

// A tile becomes a vector of the dwords in its rows, loaded and stored one row at a time. The loop that
// carried a tile carries a vector. A product spills its operands and runs two loops: over the rows of the result, and over the
// 16 pairs of contracted coordinates. Every row has two sums, of even and of odd coordinates, as the
// instruction has; in full lanes, and with denormals flushed to zero (the cmpf and select).

module attributes {pith.isa = "amx"} {
  // CHECK-LABEL: func.func @bf16
  // CHECK-COUNT-3: memref.alloca()
  // CHECK:         scf.for {{.*}} iter_args(%[[acc:.*]] = %{{.*}}) -> (vector<16x16xf32>)
  // CHECK:           vector.load %{{.*}} : memref<?x32xbf16>, vector<32xbf16>
  // CHECK:             scf.for
  // CHECK:               %[[parts:.*]]:2 = scf.for
  // CHECK:                 arith.shli %{{.*}}, %[[sixteen:.*]] : vector<16xi32>
  // CHECK:                 math.fma
  // CHECK:                 arith.cmpf olt
  // CHECK:                 arith.select
  // CHECK:                 arith.bitcast %{{.*}} : vector<16xi32> to vector<16xf32>
  // CHECK:                 math.fma
  // CHECK:               arith.addf %[[parts]]#0, %[[parts]]#1
  // CHECK:               arith.addf
  // CHECK:         vector.store %{{.*}} : memref<16x16xf32>, vector<16xf32>
  // CHECK-NOT:     x86.

  // The module's instruction set is amx, not emulate:amx: nobody asked.
  // REAL-LABEL: func.func @bf16
  // REAL:         x86.amx.tile_mulf
  // REAL-LLVM:    llvm.x86.tdpbf16ps.internal
  func.func @bf16(%a: memref<?x32xbf16>, %b: memref<?x32xbf16>, %c: memref<16x16xf32>, %n: index) {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %zero = x86.amx.tile_zero : !x86.amx.tile<16x16xf32>
    %sum = scf.for %k = %c0 to %n step %c16 iter_args(%acc = %zero) -> (!x86.amx.tile<16x16xf32>) {
      %x = x86.amx.tile_load %a[%k, %c0] : memref<?x32xbf16> into !x86.amx.tile<16x32xbf16>
      %y = x86.amx.tile_load %b[%k, %c0] : memref<?x32xbf16> into !x86.amx.tile<16x32xbf16>
      %next = x86.amx.tile_mulf %x, %y, %acc
          : !x86.amx.tile<16x32xbf16>, !x86.amx.tile<16x32xbf16>, !x86.amx.tile<16x16xf32>
      scf.yield %next : !x86.amx.tile<16x16xf32>
    }
    x86.amx.tile_store %c[%c0, %c0], %sum : memref<16x16xf32>, !x86.amx.tile<16x16xf32>
    return
  }

  // Bytes go in groups of four; either side is zero-extended when the op says so. Strided access to a
  // flat buffer: rows lie %s elements apart.

  // CHECK-LABEL: func.func @int8
  // CHECK-SAME:    (%[[a:[a-z0-9]+]]: memref<?xi8>, {{.*}} %[[s:[a-z0-9]+]]: index)
  // CHECK:         %[[second:.*]] = arith.addi %c0, %[[s]]
  // CHECK:         vector.load %[[a]][%[[second]]] : memref<?xi8>, vector<64xi8>
  // CHECK:         vector.bitcast %{{.*}} : vector<64xi8> to vector<16xi32>
  // CHECK:         %[[four:.*]] = scf.for
  // CHECK:           arith.shli
  // CHECK:           arith.shrui
  // CHECK:           arith.shli
  // CHECK:           arith.shrsi
  // CHECK-COUNT-4:   arith.muli %{{.*}} : vector<16xi32>
  // CHECK:         arith.addi %{{.*}}, %[[four]] : vector<16xi32>
  func.func @int8(%a: memref<?xi8>, %b: memref<16x64xi8>, %c: memref<16x16xi32>, %s: index) {
    %c0 = arith.constant 0 : index
    %acc = x86.amx.tile_load %c[%c0, %c0] : memref<16x16xi32> into !x86.amx.tile<16x16xi32>
    %x = x86.amx.tile_load %a[%c0], %s : memref<?xi8> into !x86.amx.tile<16x64xi8>
    %y = x86.amx.tile_load %b[%c0, %c0] : memref<16x64xi8> into !x86.amx.tile<16x64xi8>
    %sum = x86.amx.tile_muli %x zext, %y, %acc
        : !x86.amx.tile<16x64xi8>, !x86.amx.tile<16x64xi8>, !x86.amx.tile<16x16xi32>
    x86.amx.tile_store %c[%c0, %c0], %sum : memref<16x16xi32>, !x86.amx.tile<16x16xi32>
    return
  }

  // vdpbf16ps adds the product of the odd elements first.

  // CHECK-LABEL: func.func @dot
  // CHECK:         %[[odd:.*]] = arith.bitcast %{{.*}} : vector<16xi32> to vector<16xf32>
  // CHECK:         math.fma
  // CHECK:         math.fma
  func.func @dot(%s: vector<16xf32>, %a: vector<32xbf16>, %b: vector<32xbf16>) -> vector<16xf32> {
    %d = x86.avx512.dot %s, %a, %b : vector<32xbf16> -> vector<16xf32>
    return %d : vector<16xf32>
  }
}
