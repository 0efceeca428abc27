// Products that patterns restrict: lists, panels packed along them, register tiles whose rows lists name.
// RUN: env PITH_ISA=emulate:avx2 pith-opt %s --convert-pith-tiles-to-panels --cse | filecheck %s

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// Rows: the list is copied without what lies past the end, and every row of the register tile loads its own number.
// Nothing is gathered. Rows that it does not name are listed too: every block of a tile stores a vector of zeros of them,
// and a task what its tiles leave; where nothing is named they are all that is stored.
// CHECK-LABEL: func.func @rows
// CHECK-SAME:  (%[[P:.*]]: !pith.pattern<[1024], [1]>, %[[A:.*]]: tensor<1024x256xf32>
// CHECK:       %[[C:.*]] = "pith.coordinates"(%[[P]])
// CHECK:       %[[LIST:.*]] = bufferization.to_buffer %[[C]] read_only
// CHECK:       %[[IDS:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:       %[[FLAGS:.*]] = memref.alloc() {{.*}} : memref<1024xi8>
// CHECK:       %[[REST:.*]] = memref.alloc() {{.*}} : memref<1024xi32>
// CHECK:       %[[COUNT:.*]] = scf.for
// CHECK:         memref.store %{{.*}}, %[[REST]]
// CHECK:         memref.load %[[FLAGS]]
// CHECK:       scf.if
// CHECK:       scf.parallel
// CHECK:         %[[PANELS:.*]] = memref.alloc() {{.*}} : memref<16x256x16xf32>
// CHECK:         vector.store %{{.*}}, %[[PANELS]]
// CHECK-COUNT-6: memref.load %[[IDS]]
// CHECK:         scf.if
// CHECK:           memref.load %[[REST]]
// CHECK:           vector.store
// CHECK:         vector.load %[[PANELS]]
// CHECK-COUNT-6: vector.fma
// CHECK:         memref.load %[[REST]]
// CHECK:         vector.store
// CHECK:       } else {
// CHECK:         memref.load %[[REST]]
// CHECK:         vector.store
// CHECK-NOT:   pith.pit_tile
func.func @rows(%p: !pith.pattern<[1024], [1]>, %a: tensor<1024x256xf32>, %b: tensor<256x512xf32>) -> tensor<1024x512xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1024x512xf32>
  %c = linalg.fill ins(%zero : f32) outs(%empty : tensor<1024x512xf32>) -> tensor<1024x512xf32>
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x256xf32>, %tb: tensor<256x512xf32>, %tc: tensor<32x512xf32>):
    %t = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%ta, %tb : tensor<32x256xf32>, tensor<256x512xf32>) outs(%tc : tensor<32x512xf32>) {
    ^bb0(%x: f32, %y: f32, %z: f32):
      %u = arith.mulf %x, %y : f32
      %v = arith.addf %z, %u : f32
      linalg.yield %v : f32
    } -> tensor<32x512xf32>
    "pith.yield"(%t) : (tensor<32x512xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
      tile = array<i64: 32, 0, 0>, micro_tile = array<i64: 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[1024], [1]>, tensor<1024x256xf32>, tensor<256x512xf32>, tensor<1024x512xf32>) -> tensor<1024x512xf32>
  return %r : tensor<1024x512xf32>
}

// Experts: entries are sorted by expert; a task has some groups of columns to itself, as many as there are threads for,
// and adds the experts up: the groups of one expert, which lie in the same pages, before the next expert's.
// CHECK-LABEL: func.func @experts
// CHECK:       %[[BOUNDS:.*]] = memref.alloc() {{.*}} : memref<10xindex>
// CHECK:       call @pith_get_num_threads
// CHECK:       scf.parallel
// CHECK:         scf.for %[[E:.*]] = %c0{{.*}} to %c8{{.*}}
// CHECK:           memref.load %[[BOUNDS]][%[[E]]]
// CHECK:           scf.if
// CHECK:             scf.for
// CHECK:               memref.subview %{{.*}}[%[[E]], 0, 0]
// CHECK-NOT:   pith.pit_tile
#te = affine_map<(t, n, k, e) -> (t, k)>
#ekn = affine_map<(t, n, k, e) -> (e, k, n)>
#tn = affine_map<(t, n, k, e) -> (t, n)>
func.func @experts(%p: !pith.pattern<[64, 8], [1, 1]>, %x: tensor<64x32xf32>, %w: tensor<8x32x48xf32>, %y: tensor<64x48xf32>) -> tensor<64x48xf32> {
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<16x32xf32>, %tw: tensor<1x32x48xf32>, %ty: tensor<16x48xf32>):
    %t = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<16x32xf32>, tensor<1x32x48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %u = arith.mulf %a, %b : f32
      %v = arith.addf %c, %u : f32
      linalg.yield %v : f32
    } -> tensor<16x48xf32>
    "pith.yield"(%t) : (tensor<16x48xf32>) -> ()
  }) {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"], axes = array<i64: 0, 3>,
      tile = array<i64: 16, 0, 0, 1>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64, 8], [1, 1]>, tensor<64x32xf32>, tensor<8x32x48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}

// Into zeros: the lists are walked once for the first expert of every row, which stores; the others add to what is there.
// Rows that have none are cleared.
// CHECK-LABEL: func.func @first_experts
// CHECK:       %[[FIRST:.*]] = memref.alloc() {{.*}} : memref<64xi32>
// CHECK:       scf.for
// CHECK-NEXT:    memref.store %c-1{{.*}}, %[[FIRST]]
// CHECK:       scf.for %{{.*}} = %c0{{.*}} to %c8
// CHECK:           %[[WAS:.*]] = memref.load %[[FIRST]]
// CHECK-NEXT:      %[[NONE:.*]] = arith.cmpi eq, %[[WAS]], %c-1
// CHECK-NEXT:      %[[IS:.*]] = arith.select %[[NONE]], %{{.*}}, %[[WAS]]
// CHECK-NEXT:      memref.store %[[IS]], %[[FIRST]]
// CHECK:       arith.cmpi eq, %{{.*}}, %c-1
// CHECK-NEXT:  scf.if
// CHECK:         vector.store
// CHECK:       vector.fma
// CHECK:       vector.maskedload
func.func @first_experts(%p: !pith.pattern<[64, 8], [1, 1]>, %x: tensor<64x32xf32>, %w: tensor<8x32x48xf32>) -> tensor<64x48xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64x48xf32>
  %y = linalg.fill ins(%zero : f32) outs(%empty : tensor<64x48xf32>) -> tensor<64x48xf32>
  %r = "pith.pit_tile"(%p, %x, %w, %y) ({
  ^bb0(%tx: tensor<16x32xf32>, %tw: tensor<1x32x48xf32>, %ty: tensor<16x48xf32>):
    %t = linalg.generic {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%tx, %tw : tensor<16x32xf32>, tensor<1x32x48xf32>) outs(%ty : tensor<16x48xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %u = arith.mulf %a, %b : f32
      %v = arith.addf %c, %u : f32
      linalg.yield %v : f32
    } -> tensor<16x48xf32>
    "pith.yield"(%t) : (tensor<16x48xf32>) -> ()
  }) {indexing_maps = [#te, #ekn, #tn], iterator_types = ["parallel", "parallel", "reduction", "reduction"], axes = array<i64: 0, 3>,
      tile = array<i64: 16, 0, 0, 1>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64, 8], [1, 1]>, tensor<64x32xf32>, tensor<8x32x48xf32>, tensor<64x48xf32>) -> tensor<64x48xf32>
  return %r : tensor<64x48xf32>
}

// Blocks of rows with contracted coordinates of their own, PIT's 32x1: entries are looked at in parallel, and sorted by
// block where those of a block do not stand together; their values are copied in parallel in the order in which register tiles (4 rows) read them; panel rows are found by coordinate.
// CHECK-LABEL: func.func @blocks
// CHECK-DAG:   %[[BOUNDS:.*]] = memref.alloc() {{.*}} : memref<6xindex>
// CHECK-DAG:   %[[IDS:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:       scf.parallel
// CHECK:         vector.deinterleave
// CHECK:       scf.if %{{.*}} -> (index) {
// CHECK:       %[[VALUES:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xf32>
// CHECK:       scf.parallel
// CHECK-COUNT-4: memref.store %{{.*}}, %[[VALUES]]
// CHECK:       scf.parallel
// CHECK:         %[[PANELS:.*]] = memref.alloc() {{.*}} : memref<4x128x16xf32>
// CHECK:         memref.load %[[BOUNDS]]
// CHECK:         memref.load %[[IDS]]
// CHECK:         vector.load %[[PANELS]]
// CHECK-COUNT-4: memref.load %[[VALUES]]
// CHECK-COUNT-4: vector.fma
func.func @blocks(%p: !pith.pattern<[64, 128], [32, 1]>, %a: tensor<64x128xf32>, %b: tensor<128x64xf32>, %c: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf32>, %tb: tensor<8x64xf32>, %tc: tensor<32x64xf32>):
    %t = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%ta, %tb : tensor<32x8xf32>, tensor<8x64xf32>) outs(%tc : tensor<32x64xf32>) {
    ^bb0(%x: f32, %y: f32, %z: f32):
      %u = arith.mulf %x, %y : f32
      %v = arith.addf %z, %u : f32
      linalg.yield %v : f32
    } -> tensor<32x64xf32>
    "pith.yield"(%t) : (tensor<32x64xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 32, 0, 8>, micro_tile = array<i64: 32, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64, 128], [32, 1]>, tensor<64x128xf32>, tensor<128x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  return %r : tensor<64x64xf32>
}

// A body of more than a product is left to convert-pith-patterns-to-linalg.
// CHECK-LABEL: func.func @no_product
// CHECK:       pith.pit_tile
func.func @no_product(%p: !pith.pattern<[64], [1]>, %x: tensor<64x32xf32>, %y: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %r = "pith.pit_tile"(%p, %x, %y) ({
  ^bb0(%tx: tensor<8x32xf32>, %ty: tensor<8x32xf32>):
    %t = linalg.exp ins(%tx : tensor<8x32xf32>) outs(%ty : tensor<8x32xf32>) -> tensor<8x32xf32>
    "pith.yield"(%t) : (tensor<8x32xf32>) -> ()
  }) {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"],
      axes = array<i64: 0>, tile = array<i64: 8, 0>, micro_tile = array<i64: 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[64], [1]>, tensor<64x32xf32>, tensor<64x32xf32>) -> tensor<64x32xf32>
  return %r : tensor<64x32xf32>
}
