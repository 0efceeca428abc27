// RUN: pith-opt --convert-pith-attention-to-loops --canonicalize --cse %s | filecheck %s

// Attention as one loop nest. With AVX2 a block has 24 queries, three vectors; a register tile is four by three of them.

module attributes {"pith.isa" = "avx2"} {

// CHECK-LABEL: func.func @window(
// CHECK-SAME:    %[[Q:[^:]*]]: memref<?x8x?x16xf32, strided<[?, ?, ?, 1], offset: ?>>, %[[KV:[^:]*]]: tensor<?x2x?x16xf32>
// CHECK-SAME:    %[[OUT:[^:]*]]: memref<?x8x?x16xf32>
// CHECK-DAG:     %[[K:.*]] = bufferization.to_buffer %[[KV]]

// Blocks end after 24 queries, or where two neighbours see no common key.
// CHECK:         %[[BLOCKS:.*]]:4 = scf.for %{{.*}} iter_args
// CHECK:           arith.cmpi eq, %{{.*}}, %c24
// CHECK:           memref.store %{{.*}} : memref<1x?xi32>

// Blocks of a head after each other, or heads of a block, whichever memory has side by side.
// CHECK:         memref.extract_strided_metadata %[[K]]
// CHECK:         scf.parallel (%[[B:[^,]*]], %[[N:[^,]*]]) = (%c0, %c0) to (%{{.*}}, %{{.*}})
// CHECK:           arith.remui %[[N]]
// CHECK:           %[[H:.*]] = arith.select

// What the queries see, and the hull of that.
// CHECK-DAG:       %[[PLACES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<24xindex>
// CHECK-DAG:       %[[SEEN:.*]] = memref.alloca() {alignment = 64 : i64} : memref<4x24xi32>
// CHECK:           scf.for %{{.*}} = %c0 to %c24 step %c1 iter_args
// CHECK:             memref.store %{{.*}}, %[[SEEN]][%c0, %{{.*}}]
// CHECK:             memref.store %{{.*}}, %[[SEEN]][%c1, %{{.*}}]

// Queries are transposed, times scale and log2(e); they are read where they lie, whatever the strides.
// CHECK:           %[[QT:.*]] = memref.alloca() {alignment = 64 : i64} : memref<16x24xf32>
// CHECK:           vector.load %[[Q]][%[[B]], %[[H]], %{{.*}}, %{{.*}}] : memref<?x8x?x16xf32, strided<[?, ?, ?, 1], offset: ?>>
// CHECK:           arith.mulf
// CHECK:           vector.store %{{.*}}, %[[QT]]
// CHECK-DAG:       %[[SCORES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x24xf32>
// CHECK-DAG:       %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<16x24xf32>

// Chunks of keys: scores on 12 accumulators, an element of K against a vector of queries; heads share keys by fours.
// CHECK:           scf.for
// CHECK:             scf.for %{{.*}} step %c4
// CHECK:               memref.prefetch %[[OUT]]{{.*}}, write, locality<3>
// CHECK:               memref.prefetch %[[Q]]{{.*}}, read, locality<3>
// CHECK:               scf.for %{{.*}} = %c0 to %c16 step %c8 iter_args({{(%[^,]*, ){11}[^,]*}}) -> ({{(vector<8xf32>, ){11}vector<8xf32>}})
// CHECK:                 vector.load %[[QT]]
// CHECK:                 tensor.extract %[[KV]][%[[B]], %{{.*}}, %{{.*}}, %{{.*}}]
// CHECK:                 vector.fma
// CHECK:               } {llvm.loop_annotation
// CHECK:               vector.store %{{.*}}, %[[SCORES]]

// Keys that some query does not see: -inf, only where a chunk has such; and whether V is finite there.
// CHECK:             %[[PLAIN:.*]] = scf.if
// CHECK:               arith.cmpi sle
// CHECK:               arith.cmpi slt
// CHECK:               arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<8xi1>, vector<8xf32>
// CHECK:               vector.reduction <add>
// CHECK:               arith.cmpf ord
// CHECK:             } else {
// CHECK-NEXT:          scf.yield %true

// The largest score so far, then weights by a polynomial and a shift into the exponent: no call.
// CHECK:             scf.for
// CHECK:               arith.cmpf ogt
// CHECK:             scf.for
// CHECK:               arith.subf
// CHECK:               arith.shli
// CHECK:               vector.store %{{.*}}, %[[SCORES]]
// CHECK-NOT:         math.exp
// CHECK:             scf.if %[[PLAIN]]
// CHECK:               scf.for %{{.*}} step %c4
// CHECK:                 scf.for %{{.*}} step %c1 iter_args({{(%[^,]*, ){11}[^,]*}}) -> ({{(vector<8xf32>, ){11}vector<8xf32>}})
// CHECK:                   vector.load %[[SCORES]]
// CHECK:                   tensor.extract %[[KV]]
// CHECK:                   vector.fma
// CHECK:                 vector.store %{{.*}}, %[[SUMS]]
// CHECK:             } else {
// CHECK:               arith.cmpf une

// Sums over totals, transposed, to the places of the queries that are there.
// CHECK:           arith.divf
// CHECK:           scf.for %{{.*}} = %c0 to %c24
// CHECK:             scf.if
// CHECK:               memref.store %{{.*}}, %[[OUT]][%[[B]], %[[H]], %{{.*}}, %{{.*}}]
// CHECK-NOT:     pith.attention
// CHECK-NOT:     scf.parallel
func.func @window(%q: memref<?x8x?x16xf32, strided<[?, ?, ?, 1], offset: ?>>, %kv: tensor<?x2x?x16xf32>, %scale: f64,
                  %out: memref<?x8x?x16xf32>, %seen: tensor<1x?x2xi32>) {
  %tq = bufferization.to_tensor %q restrict
    : memref<?x8x?x16xf32, strided<[?, ?, ?, 1], offset: ?>> to tensor<?x8x?x16xf32>
  %to = bufferization.to_tensor %out restrict writable : memref<?x8x?x16xf32> to tensor<?x8x?x16xf32>
  %y = "pith.attention"(%tq, %kv, %kv, %scale, %to, %seen) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>,
      resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<?x8x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, f64, tensor<?x8x?x16xf32>, tensor<1x?x2xi32>)
    -> tensor<?x8x?x16xf32>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<?x8x?x16xf32>, memref<?x8x?x16xf32>) -> ()
  return
}

// Global tokens are flagged; the queries among them are left out of the blocks and gathered by tasks behind a head's
// blocks, a vector at a time; the keys among them are a stream of their own, without those that the intervals showed
// already. The logarithms come out too.
// CHECK-LABEL: func.func @tokens(
// CHECK:         %[[FLAGS:.*]] = memref.alloc() {{.*}} : memref<1x64xi8>
// CHECK:         scf.parallel
// CHECK:           scf.if
// CHECK:             memref.load %[[FLAGS]]
// CHECK:             %[[REACHED:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:             memref.store %{{.*}}, %[[REACHED]]
// CHECK:             arith.xori %{{.*}} : vector<8xi1>
// CHECK:             math.log2
// CHECK:           } else {
// CHECK-NOT:         scf.parallel
// CHECK:             memref.alloca() {alignment = 64 : i64} : memref<8xindex>
// CHECK-NOT:         memref.alloc(
// CHECK:             math.log2
func.func @tokens(%q: tensor<1x8x64x16xf32>, %scale: f64, %seen: tensor<1x64x2xi32>, %reach: tensor<1x64x2xi32>,
                  %t: tensor<1x?xi32>, %out: tensor<1x8x64x16xf32>, %lse: tensor<1x8x64xf32>)
    -> (tensor<1x8x64x16xf32>, tensor<1x8x64xf32>) {
  %y:2 = "pith.attention"(%q, %q, %q, %scale, %out, %seen, %lse, %t, %reach) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x8x64x16xf32>, tensor<1x8x64x16xf32>, tensor<1x8x64x16xf32>, f64, tensor<1x8x64x16xf32>, tensor<1x64x2xi32>,
       tensor<1x8x64xf32>, tensor<1x?xi32>, tensor<1x64x2xi32>) -> (tensor<1x8x64x16xf32>, tensor<1x8x64xf32>)
  return %y#0, %y#1 : tensor<1x8x64x16xf32>, tensor<1x8x64xf32>
}

// A pattern is sorted by its rows of blocks; keys are listed block by block, cut to what the intervals show. bf16 is
// widened a chunk at a time and rounded once. Blocks of 40 queries take two tasks each.
// CHECK-LABEL: func.func @blocks(
// CHECK:         pith.coordinates
// CHECK:         %[[BOUNDS:.*]] = memref.alloc() {{.*}} : memref<4xindex>
// CHECK:         %[[COLUMNS:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:         scf.parallel (%{{[^,]*}}) = (%c0) to (%c32)
// CHECK:           memref.alloca() {alignment = 64 : i64} : memref<64x16xf32>
// CHECK:           memref.load %[[COLUMNS]]
// CHECK:           arith.extui %{{.*}} : i16 to i32
// CHECK:           arith.trunci %{{.*}} : i32 to i16
func.func @blocks(%q: tensor<1x8x64x16xbf16>, %scale: f64, %seen: tensor<1x64x2xi32>, %p: !pith.pattern<[64, 64], [40, 32]>)
    -> tensor<1x8x64x16xbf16> {
  %out = tensor.empty() : tensor<1x8x64x16xbf16>
  %y = "pith.attention"(%q, %q, %q, %scale, %out, %seen, %p) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x8x64x16xbf16>, tensor<1x8x64x16xbf16>, tensor<1x8x64x16xbf16>, f64, tensor<1x8x64x16xbf16>,
       tensor<1x64x2xi32>, !pith.pattern<[64, 64], [40, 32]>) -> tensor<1x8x64x16xbf16>
  return %y : tensor<1x8x64x16xbf16>
}

// A bias of the scores is added before the softmax: a vector of queries per key, none past the end of the block; one
// number for all queries where they share it.
// CHECK-LABEL: func.func @biased(
// CHECK-SAME:    %[[BIAS:[^:]*]]: tensor<1x1x40x30xf32>, %[[SHARED:[^:]*]]: tensor<2x1x40x1xf32>
// CHECK:         %[[B:.*]] = bufferization.to_buffer %[[BIAS]]
// CHECK:         scf.parallel
// CHECK:           %[[MASK:.*]] = vector.create_mask
// CHECK:           vector.maskedload %[[B]][%c0, %c0, %{{.*}}, %{{.*}}], %[[MASK]], %{{.*}} : memref<1x1x40x30xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK:           vector.fma
// CHECK:         scf.parallel
// CHECK:           tensor.extract %[[SHARED]]
func.func @biased(%q: tensor<2x4x30x16xf32>, %k: tensor<2x4x40x16xf32>, %scale: f64, %seen: tensor<1x30x2xi32>,
                  %bias: tensor<1x1x40x30xf32>, %shared: tensor<2x1x40x1xf32>) -> tensor<2x4x30x16xf32> {
  %y = "pith.attention"(%q, %k, %k, %scale, %q, %seen, %bias) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1>,
      resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x4x30x16xf32>, tensor<2x4x40x16xf32>, tensor<2x4x40x16xf32>, f64, tensor<2x4x30x16xf32>, tensor<1x30x2xi32>,
       tensor<1x1x40x30xf32>) -> tensor<2x4x30x16xf32>
  %z = "pith.attention"(%y, %k, %k, %scale, %q, %seen, %shared) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1>,
      resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x4x30x16xf32>, tensor<2x4x40x16xf32>, tensor<2x4x40x16xf32>, f64, tensor<2x4x30x16xf32>, tensor<1x30x2xi32>,
       tensor<2x1x40x1xf32>) -> tensor<2x4x30x16xf32>
  return %z : tensor<2x4x30x16xf32>
}

}
