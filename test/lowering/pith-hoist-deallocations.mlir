// RUN: pith-opt %s --pass-pipeline="builtin.module(pith-hoist-deallocations)" | filecheck %s

// A temporary is freed behind the last op that uses it, or a view of it.
// CHECK-LABEL: func.func @chain
// CHECK:         %[[A:.*]] = memref.alloc() : memref<64xf32>
// CHECK:         %[[B:.*]] = memref.alloc() : memref<64xf32>
// CHECK:         memref.expand_shape %[[A]]
// CHECK:         scf.parallel
// CHECK:         }
// CHECK-NEXT:    memref.dealloc %[[A]]
// CHECK-NEXT:    memref.copy %[[B]]
// CHECK-NEXT:    memref.dealloc %[[B]]
// CHECK-NEXT:    return
func.func @chain(%x: memref<64xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %a = memref.alloc() : memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  memref.copy %x, %a : memref<64xf32> to memref<64xf32>
  %view = memref.expand_shape %a [[0, 1]] output_shape [8, 8] : memref<64xf32> into memref<8x8xf32>
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %v = memref.load %view[%i, %i] : memref<8x8xf32>
    memref.store %v, %b[%i] : memref<64xf32>
  }
  memref.copy %b, %x : memref<64xf32> to memref<64xf32>
  memref.dealloc %a : memref<64xf32>
  memref.dealloc %b : memref<64xf32>
  return
}

// Its address is a use, too, and so is what is computed of it; what a branch chose may be it.
// CHECK-LABEL: func.func @derived
// CHECK:         %[[A:.*]] = memref.alloc() : memref<64xf32>
// CHECK:         scf.parallel
// CHECK:         }
// CHECK-NEXT:    memref.dealloc %[[A]]
// CHECK:         memref.copy
// CHECK-NEXT:    memref.dealloc
// CHECK-NEXT:    memref.dealloc
// CHECK-NEXT:    memref.copy
func.func @derived(%x: memref<64xf32>, %which: i1) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %a = memref.alloc() : memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  %c = memref.alloc() : memref<64xf32>
  %address = memref.extract_aligned_pointer_as_index %a : memref<64xf32> -> index
  %behind = arith.addi %address, %c8 : index
  %chosen = scf.if %which -> (memref<64xf32>) {
    scf.yield %b : memref<64xf32>
  } else {
    scf.yield %c : memref<64xf32>
  }
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %word = arith.index_cast %behind : index to i64
    %pointer = llvm.inttoptr %word : i64 to !llvm.ptr
    %v = llvm.load %pointer : !llvm.ptr -> f32
    memref.store %v, %x[%i] : memref<64xf32>
  }
  memref.copy %chosen, %x : memref<64xf32> to memref<64xf32>
  memref.copy %x, %x : memref<64xf32> to memref<64xf32>
  memref.dealloc %a : memref<64xf32>
  memref.dealloc %b : memref<64xf32>
  memref.dealloc %c : memref<64xf32>
  return
}

// What is never used goes at once; what ops inside of others allocate or free stays where it is.
// CHECK-LABEL: func.func @others
// CHECK:         memref.dealloc
// CHECK-NEXT:    memref.copy
// CHECK:         scf.parallel
// CHECK:           memref.alloc
// CHECK:           memref.load
// CHECK:           memref.store
// CHECK-NEXT:      memref.dealloc
func.func @others(%x: memref<8xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %unused = memref.alloc() : memref<64xf32>
  memref.copy %y, %x : memref<8xf32> to memref<8xf32>
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %a = memref.alloc() : memref<8xf32>
    %v = memref.load %a[%i] : memref<8xf32>
    memref.store %v, %x[%i] : memref<8xf32>
    memref.dealloc %a : memref<8xf32>
  }
  memref.dealloc %unused : memref<64xf32>
  return
}

// An element that was read is no use of the memory; what may be it and is returned frees nothing earlier.
// CHECK-LABEL: func.func @returned
// CHECK:         %[[N:.*]] = memref.load
// CHECK-NEXT:    memref.dealloc
// CHECK-NEXT:    memref.copy
// CHECK-NEXT:    %[[M:.*]] = memref.dim
// CHECK-NEXT:    memref.dealloc
// CHECK-NEXT:    return %[[N]], %[[M]]
func.func @returned(%x: memref<4xindex>, %n: index) -> (index, index) {
  %c0 = arith.constant 0 : index
  %a = memref.alloc() : memref<4xindex>
  %b = memref.alloc(%n) : memref<?xindex>
  memref.copy %x, %a : memref<4xindex> to memref<4xindex>
  %first = memref.load %a[%c0] : memref<4xindex>
  memref.copy %x, %x : memref<4xindex> to memref<4xindex>
  %size = memref.dim %b, %c0 : memref<?xindex>
  memref.dealloc %a : memref<4xindex>
  memref.dealloc %b : memref<?xindex>
  return %first, %size : index, index
}

// What another block asks of the memory leaves it where it is.
// CHECK-LABEL: func.func @other_block
// CHECK-COUNT-2: memref.copy
// CHECK-NEXT:    memref.dealloc
// CHECK:         memref.dim
func.func @other_block(%x: memref<4xindex>, %n: index) -> index {
  %c0 = arith.constant 0 : index
  %a = memref.alloc(%n) : memref<?xindex>
  memref.copy %x, %x : memref<4xindex> to memref<4xindex>
  memref.copy %x, %x : memref<4xindex> to memref<4xindex>
  memref.dealloc %a : memref<?xindex>
  cf.br ^next
^next:
  %size = memref.dim %a, %c0 : memref<?xindex>
  return %size : index
}
