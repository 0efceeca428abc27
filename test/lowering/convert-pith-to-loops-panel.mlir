// RUN: pith-opt --split-input-file --convert-pith-to-loops --cse %s | filecheck %s

// The matrix-product generator on a two-rank format, C1(1:2)->C0(2:4), for 256-bit vectors (pith.isa).

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 8, (d1 floordiv 4) mod 2, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 2>, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @rows_of_their_own
// CHECK-SAME:    (%[[c1:[a-z0-9]+]]: tensor<?xi8>, %[[c0:[a-z0-9]+]]: tensor<?xi8>, %[[val:[a-z0-9]+]]: tensor<?xf32>,
// CHECK-DAG:     %[[C1:.*]] = bufferization.to_buffer %[[c1]] read_only
// CHECK-DAG:     %[[C0:.*]] = bufferization.to_buffer %[[c0]] read_only
// CHECK-DAG:     %[[VAL:.*]] = bufferization.to_buffer %[[val]] read_only

// Tasks are as long as 256 rows allow, cut evenly for the threads, and no shorter than 64 rows.
// CHECK:         call @pith_get_num_threads
// CHECK:         %[[even:.*]] = arith.minui %{{.*}}, %c256
// CHECK:         arith.maxui %[[even]], %c64

// The dense operand is packed into panels of 64 columns: 8 registers of sums per row. Of fewer panels than threads, parts
// of the rows are tasks. An operand of 64 columns on a cache line is a panel as it lies.
// CHECK:         %[[begins:.*]] = arith.andi %{{.*}}, %c63
// CHECK:         %[[aligned:.*]] = arith.cmpi eq, %[[begins]], %c0
// CHECK:         %[[one:.*]] = arith.cmpi eq, %{{.*}}, %c64
// CHECK:         %[[lies:.*]] = arith.andi %[[aligned]], %[[one]]
// CHECK:         %[[made:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?x128x64xf32>
// CHECK:         scf.if %[[lies]]
// CHECK:         call @pith_get_num_threads
// CHECK:         %[[parts:.*]] = arith.ceildivui
// CHECK:         %[[most:.*]] = arith.ceildivui %c128, %[[parts]]
// CHECK:         scf.parallel (%{{.*}}, %[[part:.*]]) = (%c0, %c0) to (%{{.*}}, %[[parts]])
// CHECK:           arith.muli %[[part]], %[[most]]
// CHECK:         %[[panel:.*]] = memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%{{.*}}, 128, 64], strides: [8192, 64, 1]
// CHECK:         %[[panels:.*]] = arith.select %[[lies]], %{{.*}}, %[[made]] : memref<?x128x64xf32>

// One task per panel and chunk of rows. The first strip starts from zeros: all rows are the tile's last one. Values of
// rows ahead are asked for.
// CHECK:         scf.parallel (%[[panel:[a-z0-9]+]], %{{.*}}) =
// CHECK:           memref.alloca() {alignment = 64 : i64} : memref<257x64xf32>
// CHECK:           %[[zeros:.*]] = memref.reinterpret_cast %{{.*}} strides: [%c0, 1]
// CHECK:           %[[tile:.*]] = memref.cast
// CHECK:             memref.prefetch %[[VAL]]

// 8 groups of C1 are one block: their 8 coordinates of 1 bit are a byte of the outer rank, their 16 of
// 2 bits an i32 of the inner one. The first non-zero: bit 0, and bits 0 and 1.
// CHECK:           scf.for {{.*}} iter_args(%[[acc:.*]] = %{{.*}}) -> (vector<64xf32>)
// CHECK:             %[[outer:.*]] = memref.load %[[C1]]
// CHECK:             %[[word:.*]] = arith.index_castui %[[outer]] : i8 to index
// CHECK:             arith.andi %[[word]], %c1
// CHECK:             %[[bytes:.*]] = vector.load %[[C0]]{{.*}} vector<4xi8>
// CHECK:             vector.bitcast %[[bytes]] : vector<4xi8> to vector<1xi32>
// CHECK:             arith.andi %{{.*}}, %c3
// CHECK:             memref.extract_aligned_pointer_as_index %[[panels]]
// CHECK:             %[[kept:.*]] = llvm.inline_asm "", "=r,0" %{{.*}} : (i64) -> i64
// CHECK:             %[[at:.*]] = llvm.inttoptr %[[kept]]
// CHECK:             %[[row:.*]] = llvm.load %[[at]] {{.*}} vector<64xf32>
// CHECK:             %[[v:.*]] = memref.load %[[VAL]]
// CHECK:             %[[b:.*]] = vector.broadcast %[[v]] : f32 to vector<64xf32>
// CHECK:             vector.fma %[[b]], %[[row]], %[[acc]] : vector<64xf32>
// The second: bits 2 and 3 of the same word.
// CHECK:             arith.shrui %{{.*}}, %c2
// CHECK-COUNT-15:    vector.fma
// CHECK-NOT:         vector.fma
// CHECK:           scf.yield
module attributes {pith.isa = "avx2"} {
func.func @rows_of_their_own(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %rows: index,
                             %x: tensor<128x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %A = "pith.assemble"(%c1, %c0, %val, %rows) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 1>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>, index) -> tensor<?x128xf32, #hss>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x128xf32, #hss>, tensor<128x?xf32>) outs(%y : tensor<?x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
}

// -----

// Rows that share a group of C1 and choose from it themselves, V(4)C1(2:4)->C0(2:4): what a row adds to the group's address
// goes through an assembly statement, or LLVM would add for several rows in a vector.

#v4c1 = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 16, (d1 floordiv 4) mod 4, d0 mod 4, d1 mod 4)>,
                     [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @shared_groups
// CHECK:         %[[own:.*]] = llvm.inline_asm "", "=r,0"
// CHECK-NEXT:    %[[part:.*]] = arith.index_cast %[[own]] : i64 to index
// CHECK-NEXT:    %[[address:.*]] = arith.addi %{{.*}}, %[[part]] : index
// CHECK-NEXT:    %[[word:.*]] = arith.index_cast %[[address]] : index to i64
// CHECK-NEXT:    %[[kept:.*]] = llvm.inline_asm "", "=r,0" %[[word]]
// CHECK-NEXT:    llvm.inttoptr %[[kept]]
module attributes {pith.isa = "avx2"} {
func.func @shared_groups(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x32xf32>,
                         %y: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %A = "pith.assemble"(%c1, %c0, %val) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #v4c1>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #v4c1>, tensor<128x32xf32>) outs(%y : tensor<64x32xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x32xf32>
  return %r : tensor<64x32xf32>
}
}

// -----

// Four rows that share what two ranks choose, C1(2:4)->V(4)C0(2:4): LLVM would load rows of the panel far ahead and spill
// them, so the address of the next is a statement that takes the eight registers of sums.

#nested = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4, d0 mod 4)>,
                       [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.nm<2, 4>, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @shared_nested
// CHECK:         llvm.inline_asm "", "=r,0,v,v,v,v,v,v,v,v" %{{.*}} : (i64, vector<8xf32>, {{.*}}) -> i64
// CHECK:         llvm.load %{{.*}} -> vector<16xf32>
// CHECK-COUNT-4: %[[sum:.*]] = vector.fma
// CHECK:         vector.extract_strided_slice %[[sum]] {offsets = [8]
// CHECK:         llvm.inline_asm "", "=r,0,v,v,v,v,v,v,v,v"
module attributes {pith.isa = "avx2"} {
func.func @shared_nested(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x32xf32>,
                         %y: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %A = "pith.assemble"(%c1, %c0, %val) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #nested>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #nested>, tensor<128x32xf32>) outs(%y : tensor<64x32xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x32xf32>
  return %r : tensor<64x32xf32>
}
}

// -----

// One register of columns, C1(2:4)->C0(2:4): LLVM would compute addresses far ahead and spill them, so each takes the sums.

#apart = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
                      [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @one_register
// CHECK:         llvm.inline_asm "", "=r,0,v,v,v,v,v,v,v,v"
// CHECK:         llvm.load %{{.*}} -> vector<8xf32>
module attributes {pith.isa = "avx2"} {
func.func @one_register(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x8xf32>,
                        %y: tensor<64x8xf32>) -> tensor<64x8xf32> {
  %A = "pith.assemble"(%c1, %c0, %val) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #apart>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #apart>, tensor<128x8xf32>) outs(%y : tensor<64x8xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x8xf32>
  return %r : tensor<64x8xf32>
}
}

// -----

// Four rows that share their choice, V(4)C0(2:4), share every load of a panel row: the tile is 4 rows by
// 16 columns, each coordinate is decoded once for all of them.

#v4 = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 4, d1 mod 4, d0 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @shared_rows
// CHECK:         llvm.load %{{.*}} -> vector<16xf32>
// CHECK-COUNT-4: vector.fma
// CHECK:         llvm.load %{{.*}} -> vector<16xf32>
// CHECK-COUNT-4: vector.fma
module attributes {pith.isa = "avx2"} {
func.func @shared_rows(%c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x?xf32>, %y: tensor<64x?xf32>)
    -> tensor<64x?xf32> {
  %A = "pith.assemble"(%c0, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #v4>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #v4>, tensor<128x?xf32>) outs(%y : tensor<64x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x?xf32>
  return %r : tensor<64x?xf32>
}
}

// -----

// Eight rows that share are visited in windows of two. Each asks for a quarter of what is stored of the eight rows
// ahead: 16 of 64 lines.

#v8 = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 8, d1 floordiv 4, d1 mod 4, d0 mod 8)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @windows_of_rows
// CHECK:         scf.for %[[window:.*]] = %c0 to %c4 step
// CHECK:           %[[line:.*]] = arith.muli %[[window]], %c64
// CHECK:           arith.divui %[[line]], %c4
// CHECK:           scf.for %{{.*}} = %c0 to %c256 step %c16 {
// CHECK:             memref.prefetch %{{.*}} : memref<?xf32>
// CHECK:           vector.fma
module attributes {pith.isa = "avx2"} {
func.func @windows_of_rows(%c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x?xf32>, %y: tensor<64x?xf32>)
    -> tensor<64x?xf32> {
  %A = "pith.assemble"(%c0, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #v8>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #v8>, tensor<128x?xf32>) outs(%y : tensor<64x?xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x?xf32>
  return %r : tensor<64x?xf32>
}
}

// -----

// One column: values are read once, from memory if there are many, so each block of them asks for a line 64 KiB ahead
// (16384 elements), unless the buffer has less than 8 MiB (2097152).

#v4 = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 4, d1 mod 4, d0 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @one_column
// CHECK:         %[[SHORT:.*]] = arith.cmpi ult, %{{.*}}, %c2097152{{.*}} : index
// CHECK:         %[[AT:.*]] = arith.addi %{{.*}}, %c16384{{.*}} : index
// CHECK:         %[[LINE:.*]] = arith.select %[[SHORT]], %{{.*}}, %[[AT]] : index
// CHECK:         memref.prefetch %{{.*}}[%[[LINE]]], read, locality<2>, data : memref<?xf32>
// CHECK:         vector.fma
module attributes {pith.isa = "avx2"} {
func.func @one_column(%c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x1xf32>, %y: tensor<64x1xf32>)
    -> tensor<64x1xf32> {
  %A = "pith.assemble"(%c0, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #v4>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #v4>, tensor<128x1xf32>) outs(%y : tensor<64x1xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x1xf32>
  return %r : tensor<64x1xf32>
}
}

// -----

// Among registers of 512 bits a strip of the panel, 128 coordinates here, is one block: 16 groups of C1, twice as many
// as above, of 2 elements each. The loop over rows is the innermost one.

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 8, (d1 floordiv 4) mod 2, d1 mod 4)>,
                    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 2>, #pith.nm<2, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @wide_registers
// CHECK-NOT:     iter_args
// CHECK:         scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK:           scf.for %{{.*}} = %c0 to %{{.*}} step %c1 {
// CHECK-NOT:         scf.for
// CHECK-COUNT-32:    vector.fma {{.*}} vector<64xf32>
// CHECK-NOT:         vector.fma
// CHECK:             vector.store
module attributes {pith.isa = "avx512"} {
func.func @wide_registers(%c1: tensor<?xi8>, %c0: tensor<?xi8>, %val: tensor<?xf32>, %rows: index,
                          %x: tensor<256x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %A = "pith.assemble"(%c1, %c0, %val, %rows) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 1>}
      : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>, index) -> tensor<?x256xf32, #hss>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<?x256xf32, #hss>, tensor<256x?xf32>) outs(%y : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
}

// -----

// One column of 3:4 among registers of 16 lanes: 16 groups fill three of them, in blocks of two rows. Blocks of four
// rows would be half as long, 24 elements, and fill one and a half.

#three = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                      [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

// CHECK-LABEL: func.func @groups_of_three
// CHECK:         scf.for {{.*}} iter_args({{.*}}) -> ({{.*}}vector<16xf32>
// CHECK-COUNT-6:   vector.fma {{.*}} : vector<16xf32>
// CHECK-NOT:       vector.fma
// CHECK:           scf.yield
module attributes {pith.isa = "avx512"} {
func.func @groups_of_three(%c0: tensor<?xi8>, %val: tensor<?xf32>, %x: tensor<128x1xf32>, %y: tensor<64x1xf32>)
    -> tensor<64x1xf32> {
  %A = "pith.assemble"(%c0, %val) {operandSegmentSizes = array<i32: 0, 0, 1, 1, 0>}
      : (tensor<?xi8>, tensor<?xf32>) -> tensor<64x128xf32, #three>
  %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%A, %x : tensor<64x128xf32, #three>, tensor<128x1xf32>) outs(%y : tensor<64x1xf32>) {
  ^bb0(%v: f32, %w: f32, %s: f32):
    %p = arith.mulf %v, %w : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<64x1xf32>
  return %r : tensor<64x1xf32>
}
}
