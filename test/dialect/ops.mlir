// Every attribute, type and op (pit_tile: see pit-tile.mlir) prints and parses back.
// RUN: pith-opt %s | pith-opt - | filecheck %s
// RUN: pith-opt %s --mlir-print-op-generic | pith-opt - | filecheck %s

// CHECK-DAG: #[[ROWS:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[HSS:.*]] = affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>
// CHECK-DAG: #[[BSR:.*]] = affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 2, d0 mod 4, d1 mod 2)>

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#csc = #pith.format<affine_map<(d0, d1) -> (d1, d0)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#coo = #pith.format<affine_map<(d0, d1) -> (d0, d1)>,
  [#pith.level<"compressed(nonunique, nonordered)">, #pith.level<"singleton(nonordered)">], 64, 16, 0>
#slack = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"loose_compressed">], 32, 32, 0>
#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 32, 32, 0>
#bsr = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 2, d0 mod 4, d1 mod 2)>,
  [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">, #pith.level<"dense">], 32, 32, 0>

// C1(3:4)->C0(2:4)
#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 0>
// V(16)C1(2:8)->C0(2:4), coordinates of 8 bits
#vnm = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 16, d1 floordiv 32, (d1 floordiv 4) mod 8, d0 mod 16, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 8>, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 8>
// B(4x1)C0(1:4)
#blocks = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 4, d1 mod 4, d0 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 4>, #pith.level<"dense">], 0, 0, 0>

// CHECK-LABEL: func.func private @levels(
// CHECK-SAME: #pith.format<#[[ROWS]], [#pith.level<"dense">, #pith.level<"compressed">], 32 : i64, 32 : i64, 0 : i64>
// CHECK-SAME: #pith.level<"compressed(nonunique, nonordered)">, #pith.level<"singleton(nonordered)">], 64 : i64, 16 : i64, 0 : i64>
// CHECK-SAME: #pith.level<"loose_compressed">
// CHECK-SAME: #pith.level<"bitmask">
// CHECK-SAME: #pith.format<#[[BSR]],
// CHECK-SAME: #pith.format<#[[HSS]], [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3 : i64, 4 : i64>, #pith.nm<2 : i64, 4 : i64>]
// CHECK-SAME: #pith.nm<2 : i64, 8 : i64>, #pith.level<"dense">, #pith.nm<2 : i64, 4 : i64>], 0 : i64, 0 : i64, 8 : i64>
// CHECK-SAME: #pith.nm<1 : i64, 4 : i64>, #pith.level<"dense">]
func.func private @levels(
  tensor<?x?xf32, #csr>, tensor<8x8xf32, #csc>, tensor<8x8xf32, #coo>, tensor<8x8xf32, #slack>, tensor<8x8xbf16, #bits>,
  tensor<8x8xi8, #bsr>, tensor<?x32xf32, #hss>, tensor<16x64xf16, #vnm>, tensor<8x8xcomplex<f32>, #blocks>)

// CHECK-LABEL: func.func private @buffer() attributes {pith.buffer = #pith.buffer<4096 : i64, "stream", "shared">}
func.func private @buffer() attributes {pith.buffer = #pith.buffer<4096, "stream", "shared">}

// CHECK-LABEL: func.func private @pattern(!pith.pattern<[4096, -1], [1, 64]>)
func.func private @pattern(!pith.pattern<[4096, -1], [1, 64]>)

// CHECK-LABEL: func.func @formats(
func.func @formats(%a: tensor<8x32xf32>) -> (tensor<8x32xf32>, index) {
  // CHECK: %[[P:.*]] = "pith.prune"(%{{.*}}) {format = #pith.format<#[[HSS]],
  %0 = "pith.prune"(%a) {format = #hss} : (tensor<8x32xf32>) -> tensor<8x32xf32>
  %floor = arith.constant 0.0 : f64
  // CHECK: "pith.prune_by"(%{{.*}}, %[[P]], %{{.*}}) {format = #pith.format<{{.*}}>, score = "scaled"}
  %r:2 = "pith.prune_by"(%a, %0, %floor) {format = #hss, score = "scaled"}
    : (tensor<8x32xf32>, tensor<8x32xf32>, f64) -> (tensor<8x32xf32>, i1)
  // CHECK: %[[C:.*]] = "pith.compress"(%[[P]]) : (tensor<8x32xf32>) -> tensor<8x32xf32, #pith.format<#[[HSS]],
  %1 = "pith.compress"(%0) : (tensor<8x32xf32>) -> tensor<8x32xf32, #hss>
  // CHECK: %[[B:.*]]:3 = "pith.disassemble"(%[[C]]) {resultSegmentSizes = array<i32: 0, 0, 2, 1>}
  // CHECK-SAME: -> (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>)
  %b:3 = "pith.disassemble"(%1) {resultSegmentSizes = array<i32: 0, 0, 2, 1>}
    : (tensor<8x32xf32, #hss>) -> (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>)
  // CHECK: %[[A:.*]] = "pith.assemble"(%[[B]]#0, %[[B]]#1, %[[B]]#2) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
  %2 = "pith.assemble"(%b#0, %b#1, %b#2) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
    : (tensor<?xi8>, tensor<?xi8>, tensor<?xf32>) -> tensor<8x32xf32, #hss>
  // CHECK: "pith.repack"(%[[A]], %{{.*}}) : (tensor<8x32xf32, #pith.format<{{.*}}>>, tensor<8x32xf32>)
  %n = "pith.repack"(%2, %a) : (tensor<8x32xf32, #hss>, tensor<8x32xf32>) -> tensor<8x32xf32, #hss>
  // CHECK: %[[D:.*]] = "pith.decompress"(%[[A]])
  %3 = "pith.decompress"(%2) : (tensor<8x32xf32, #hss>) -> tensor<8x32xf32>
  // CHECK: "pith.validate"(%[[D]]) {format = #pith.format<#[[HSS]],
  // CHECK-SAME: (tensor<8x32xf32>) -> index
  %4 = "pith.validate"(%3) {format = #hss} : (tensor<8x32xf32>) -> index
  return %3, %4 : tensor<8x32xf32>, index
}

// Values of 4 bits are stored two per byte.
// CHECK-LABEL: func.func @quantised(
func.func @quantised(%crd: tensor<?xi8>, %val: tensor<?xi8>, %s: tensor<?xf32>, %z: tensor<?xi8>) -> tensor<8x32xf32, #hss> {
  // CHECK: "pith.assemble"({{.*}}) {{.*}} : (tensor<?xi8>, tensor<?xi8>, tensor<?xi8>) -> tensor<8x32xi4, #pith.format<#[[HSS]],
  %q = "pith.assemble"(%crd, %crd, %val) {operandSegmentSizes = array<i32: 0, 0, 2, 1, 0>}
    : (tensor<?xi8>, tensor<?xi8>, tensor<?xi8>) -> tensor<8x32xi4, #hss>
  // CHECK: "pith.dequantize"(%{{.*}}, %{{.*}}, %{{.*}}) {group = 64 : i64}
  %w = "pith.dequantize"(%q, %s, %z) {group = 64 : i64}
    : (tensor<8x32xi4, #hss>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x32xf32, #hss>
  return %w : tensor<8x32xf32, #hss>
}

// Buffers of every role, and the size of a dynamic dimension.
// CHECK-LABEL: func.func @assemble(
func.func @assemble(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %w: tensor<?xi8>) {
  // CHECK: "pith.assemble"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 1>}
  %0 = "pith.assemble"(%p, %c, %v, %n) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 1>}
    : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>, index) -> tensor<?x8xf32, #csr>
  // CHECK: "pith.assemble"(%{{.*}}, %{{.*}}, %{{.*}}) {operandSegmentSizes = array<i32: 1, 0, 1, 1, 0>}
  %1 = "pith.assemble"(%p, %w, %v) {operandSegmentSizes = array<i32: 1, 0, 1, 1, 0>}
    : (tensor<?xi32>, tensor<?xi8>, tensor<?xf32>) -> tensor<8x8xf32, #bits>
  return
}

// CHECK-LABEL: func.func @patterns(
func.func @patterns(%x: tensor<100x?xf32>, %y: tensor<?x7xf32>) -> (tensor<100x?xf32>, tensor<?x7xf32>) {
  // CHECK: %[[P:.*]] = "pith.detect"(%{{.*}}) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 32>, threshold = 5.000000e-01 : f64}
  // CHECK-SAME: -> !pith.pattern<[100, -1], [1, 32]>
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 32>, threshold = 0.5 : f64}
    : (tensor<100x?xf32>) -> !pith.pattern<[100, -1], [1, 32]>
  // CHECK: %[[T:.*]] = "pith.sread"(%{{.*}}, %[[P]]) {dims = array<i64: 0, 1>}
  // CHECK-SAME: -> tensor<?x32xf32>
  %t = "pith.sread"(%x, %p) {dims = array<i64: 0, 1>}
    : (tensor<100x?xf32>, !pith.pattern<[100, -1], [1, 32]>) -> tensor<?x32xf32>
  // CHECK: "pith.swrite"(%[[T]], %[[P]], %{{.*}}) {accumulate = false, dims = array<i64: 0, 1>}
  %w = "pith.swrite"(%t, %p, %x) {dims = array<i64: 0, 1>, accumulate = false}
    : (tensor<?x32xf32>, !pith.pattern<[100, -1], [1, 32]>, tensor<100x?xf32>) -> tensor<100x?xf32>
  // An axis that does not index the tensor: rows may meet, so the write accumulates.
  // CHECK: %[[U:.*]] = "pith.sread"(%{{.*}}, %[[P]]) {dims = array<i64: -1, 0>}
  %u = "pith.sread"(%y, %p) {dims = array<i64: -1, 0>}
    : (tensor<?x7xf32>, !pith.pattern<[100, -1], [1, 32]>) -> tensor<?x7xf32>
  // CHECK: "pith.swrite"(%[[U]], %[[P]], %{{.*}}) {accumulate = true, dims = array<i64: -1, 0>}
  %v = "pith.swrite"(%u, %p, %y) {dims = array<i64: -1, 0>, accumulate = true}
    : (tensor<?x7xf32>, !pith.pattern<[100, -1], [1, 32]>, tensor<?x7xf32>) -> tensor<?x7xf32>
  return %w, %v : tensor<100x?xf32>, tensor<?x7xf32>
}

// CHECK-LABEL: func.func @coordinates(
func.func @coordinates(%c: tensor<?x2xi32>, %d: tensor<5xi32>) -> (tensor<?x2xi32>, tensor<?xi32>) {
  // CHECK: %[[P:.*]] = "pith.from_coordinates"(%{{.*}}) : (tensor<?x2xi32>) -> !pith.pattern<[100, -1], [1, 32]>
  %p = "pith.from_coordinates"(%c) : (tensor<?x2xi32>) -> !pith.pattern<[100, -1], [1, 32]>
  // CHECK: "pith.coordinates"(%[[P]]) : (!pith.pattern<[100, -1], [1, 32]>) -> tensor<?x2xi32>
  %e = "pith.coordinates"(%p) : (!pith.pattern<[100, -1], [1, 32]>) -> tensor<?x2xi32>
  // A count known at compile time is fine.
  // CHECK: %[[Q:.*]] = "pith.from_coordinates"(%{{.*}}) : (tensor<5xi32>) -> !pith.pattern<[100], [1]>
  %q = "pith.from_coordinates"(%d) : (tensor<5xi32>) -> !pith.pattern<[100], [1]>
  // CHECK: "pith.coordinates"(%[[Q]]) : (!pith.pattern<[100], [1]>) -> tensor<?xi32>
  %f = "pith.coordinates"(%q) : (!pith.pattern<[100], [1]>) -> tensor<?xi32>
  return %e, %f : tensor<?x2xi32>, tensor<?xi32>
}

// CHECK-LABEL: func.func @found(
func.func @found(%x: tensor<100x?xbf16>, %t: tensor<100xf32>, %l: f64, %k: index, %n: tensor<4x2xi32>) -> tensor<4xf64> {
  // CHECK: "pith.detect"(%{{.*}}) {axes = array<i64: 0>, granularity = array<i64: 1>, pith.buffer = #pith.buffer<64 : i64, "error", "global">, pith.deterministic = true, threshold = 0.000000e+00 : f64}
  %a = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64,
    pith.deterministic = true, pith.buffer = #pith.buffer<64, "error", "global">}
    : (tensor<100x?xbf16>) -> !pith.pattern<[100], [1]>
  // CHECK: "pith.detect_by"(%{{.*}}) {axes = array<i64: 0>, channel = array<i64: 0>, granularity = array<i64: 1>}
  %b = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 0>}
    : (tensor<100x?xbf16>, tensor<100xf32>) -> !pith.pattern<[100], [1]>
  // CHECK: "pith.topk"(%{{.*}}) : (tensor<100x?xbf16>, index) -> !pith.pattern<[100, -1], [1, 1]>
  %c = "pith.topk"(%x, %k) : (tensor<100x?xbf16>, index) -> !pith.pattern<[100, -1], [1, 1]>
  // CHECK: "pith.sample"(%{{.*}}) : (tensor<100x?xbf16>, tensor<4x2xi32>, f64, index) -> tensor<4xf64>
  %s = "pith.sample"(%x, %n, %l, %k) : (tensor<100x?xbf16>, tensor<4x2xi32>, f64, index) -> tensor<4xf64>
  return %s : tensor<4xf64>
}

// CHECK-LABEL: func.func @sets(
func.func @sets(%p: !pith.pattern<[8, -1], [1, 2]>, %n: index, %l: tensor<4xi64>, %e: tensor<?x2xi32>) {
  // CHECK: %[[U:.*]] = "pith.union"(%{{.*}}) : (!pith.pattern<[8, -1], [1, 2]>, !pith.pattern<[8, -1], [1, 2]>, index)
  %u = "pith.union"(%p, %p, %n) : (!pith.pattern<[8, -1], [1, 2]>, !pith.pattern<[8, -1], [1, 2]>, index)
    -> !pith.pattern<[8, -1], [1, 2]>
  // CHECK: "pith.complement"(%[[U]], %{{.*}})
  %c = "pith.complement"(%u, %n) : (!pith.pattern<[8, -1], [1, 2]>, index) -> !pith.pattern<[8, -1], [1, 2]>
  // CHECK: "pith.intersection"
  %i = "pith.intersection"(%c, %p, %n) : (!pith.pattern<[8, -1], [1, 2]>, !pith.pattern<[8, -1], [1, 2]>, index)
    -> !pith.pattern<[8, -1], [1, 2]>
  // CHECK: "pith.from_lengths"(%{{.*}}) : (tensor<4xi64>, index) -> !pith.pattern<[4, -1], [1, 2]>
  %q = "pith.from_lengths"(%l, %n) : (tensor<4xi64>, index) -> !pith.pattern<[4, -1], [1, 2]>
  // CHECK: "pith.from_routing"(%{{.*}}) : (tensor<?x2xi32>) -> !pith.pattern<[-1, 8], [1, 1]>
  %r = "pith.from_routing"(%e) : (tensor<?x2xi32>) -> !pith.pattern<[-1, 8], [1, 1]>
  return
}

// CHECK-LABEL: func.func @vectors(
func.func @vectors(%x: vector<8xf32>, %i: vector<8xi32>, %b: vector<32xi8>) -> vector<8xf32> {
  // CHECK: "pith.permute"(%{{.*}}, %{{.*}}) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>
  %r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>
  // CHECK: "pith.dot"(%{{.*}}, %{{.*}}, %{{.*}}) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  %d = "pith.dot"(%i, %b, %b) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  return %r : vector<8xf32>
}

// CHECK-LABEL: func.func @bits(
func.func @bits(%x: vector<8xf32>, %m: vector<8xi1>, %w: i64) -> vector<8xf32> {
  // CHECK: "pith.compress_lanes"(%{{.*}}, %{{.*}}) : (vector<8xf32>, vector<8xi1>) -> vector<8xf32>
  %r = "pith.compress_lanes"(%x, %m) : (vector<8xf32>, vector<8xi1>) -> vector<8xf32>
  // CHECK: "pith.extract_bits"(%{{.*}}, %{{.*}}) : (i64, i64) -> i64
  %e = "pith.extract_bits"(%w, %w) : (i64, i64) -> i64
  // CHECK: "pith.deposit_bits"(%{{.*}}, %{{.*}}) : (i64, i64) -> i64
  %d = "pith.deposit_bits"(%e, %w) : (i64, i64) -> i64
  return %r : vector<8xf32>
}
