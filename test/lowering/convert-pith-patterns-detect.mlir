// A pattern becomes the list of its coordinates; its extent is the count.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --canonicalize --cse | filecheck %s

// Blocks of 2x32: a bit per element of both rows, or-ed; then the cells that hold a set bit are listed, without a
// branch: each is stored as the next, and counts if it holds one.
// A list that cannot become long is allocated once.
// CHECK-LABEL: func.func @blocks
// CHECK-SAME:  (%[[X:.*]]: tensor<70x256xf32>) -> tensor<?x2xi32>
// CHECK-DAG:   %[[LIMIT:.*]] = arith.constant dense<1056964608> : vector<64xi32>
// CHECK-DAG:   %[[MASK:.*]] = arith.constant dense<2147483647> : vector<64xi32>
// CHECK:       %[[BUFFER:.*]] = bufferization.to_buffer %[[X]] read_only
// CHECK:       %[[LIST:.*]] = memref.alloc() {{.*}} : memref<560xi32>
// CHECK:       %[[COUNT:.*]] = memref.alloc() {{.*}} : memref<1xi64>
// CHECK:       %[[LOCAL:.*]] = memref.alloca() : memref<8192xi32>
// CHECK:       %[[WORDS:.*]] = memref.alloca() : memref<{{.*}}xi64>
// CHECK:       scf.for %[[CELL:.*]] = %{{.*}} to %c35
// CHECK:         scf.for %[[ROW:.*]] = %{{.*}} to %c2
// CHECK:           scf.for %{{.*}} = %{{.*}} to %c4
// CHECK:             vector.load %[[BUFFER]]{{.*}} : memref<70x256xf32>, vector<64xf32>
// CHECK:             %[[MAGNITUDE:.*]] = arith.andi %{{.*}}, %[[MASK]]
// CHECK:             %[[FLAGS:.*]] = arith.cmpi sgt, %[[MAGNITUDE]], %[[LIMIT]]
// CHECK:             vector.bitcast %[[FLAGS]] : vector<64xi1> to vector<1xi64>
// CHECK:             arith.ori
// CHECK:             memref.store %{{.*}}, %[[WORDS]]
// CHECK:         scf.for %{{.*}} = %{{.*}} to %c4 {{.*}} iter_args
// CHECK:           memref.store %{{.*}}, %[[LOCAL]]
// CHECK:           arith.andi %{{.*}}, %c4294967295_i64
// CHECK:       memref.atomic_rmw addi %{{.*}}, %[[COUNT]]
// CHECK:       memref.store %{{.*}}, %[[LIST]]
// CHECK:       memref.reinterpret_cast %[[LIST]] to offset: [0], sizes: [%{{.*}}, 2], strides: [2, 1]
func.func @blocks(%x: tensor<70x256xf32>) -> !pith.pattern<[70, 256], [2, 32]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 2, 32>, threshold = 0.5 : f64}
      : (tensor<70x256xf32>) -> !pith.pattern<[70, 256], [2, 32]>
  return %p : !pith.pattern<[70, 256], [2, 32]>
}

// Blocks of 1x32 are tested as they are read: the largest magnitude decides, no flag of an element is kept, and none
// of the whole blocks takes a branch.
// CHECK-LABEL: func.func @pieces
// CHECK-DAG:   %[[LIMIT:.*]] = arith.constant dense<1056964608> : vector<8xi32>
// CHECK-DAG:   %[[MASK:.*]] = arith.constant dense<2147483647> : vector<32xi32>
// CHECK:       %[[LOCAL:.*]] = memref.alloca() : memref<8192xi32>
// CHECK-NOT:   memref.alloca
// CHECK:       vector.load %{{.*}} : memref<?x?xf32>, vector<32xf32>
// CHECK:       arith.andi %{{.*}}, %[[MASK]]
// CHECK:       arith.maxsi %{{.*}} : vector<16xi32>
// CHECK:       %[[LARGEST:.*]] = arith.maxsi %{{.*}} : vector<8xi32>
// CHECK-NOT:   scf.if
// CHECK:       arith.cmpi sgt, %[[LARGEST]], %[[LIMIT]] : vector<8xi32>
// CHECK-NOT:   scf.if
// CHECK:       memref.store %{{.*}}, %[[LOCAL]]
// CHECK-NOT:   scf.if
// CHECK:       scf.yield
func.func @pieces(%x: tensor<?x?xf32>) -> !pith.pattern<[-1, -1], [1, 32]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 32>, threshold = 0.5 : f64}
      : (tensor<?x?xf32>) -> !pith.pattern<[-1, -1], [1, 32]>
  return %p : !pith.pattern<[-1, -1], [1, 32]>
}

// Rows of 8: dimensions behind the last axis join it. 2.5 is 2 to an integer, whose magnitude is unsigned. The
// list grows between waves of chunks.
// CHECK-LABEL: func.func @rows
// CHECK-SAME:  -> tensor<?xi32>
// CHECK-DAG:   %[[TWO:.*]] = arith.constant dense<2> : vector<64xi32>
// CHECK:       memref.collapse_shape %{{.*}} {{\[}}[0, 1]] : memref<?x8xi32> into memref<?xi32>
// CHECK:       %[[LIST:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:       scf.while
// CHECK:         scf.if %{{.*}} -> (index, memref<?xi32>)
// CHECK:           memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:         scf.parallel
// CHECK:           %[[MAGNITUDE:.*]] = math.absi
// CHECK:           arith.cmpi ugt, %[[MAGNITUDE]], %[[TWO]]
// CHECK:           math.cttz
func.func @rows(%x: tensor<?x8xi32>) -> !pith.pattern<[-1], [1]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 2.5 : f64}
      : (tensor<?x8xi32>) -> !pith.pattern<[-1], [1]>
  return %p : !pith.pattern<[-1], [1]>
}

// Long rows are searched until something is found.
// CHECK-LABEL: func.func @long_rows
// CHECK:       scf.while
// CHECK:         arith.cmpi ule
// CHECK:         arith.cmpi eq
// CHECK:       vector.load
func.func @long_rows(%x: tensor<64x1024xbf16>) -> !pith.pattern<[64], [1]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
      : (tensor<64x1024xbf16>) -> !pith.pattern<[64], [1]>
  return %p : !pith.pattern<[64], [1]>
}

// In order: every chunk writes to a place of its own, then the pieces close up; no sort, no atomic.
// CHECK-LABEL: func.func @in_order
// CHECK:       %[[COUNTS:.*]] = memref.alloc({{.*}}) {{.*}} : memref<{{.*}}xindex>
// CHECK:       scf.parallel
// CHECK-NOT:   atomic
// CHECK:         memref.store %{{.*}}, %[[COUNTS]]
// CHECK:       scf.for
// CHECK:         memref.load %[[COUNTS]]
func.func @in_order(%x: tensor<64x1024xf32>) -> !pith.pattern<[64, 1024], [1, 1]> {
  %p = "pith.detect"(%x) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 1>, threshold = 0.0 : f64,
      pith.deterministic = true} : (tensor<64x1024xf32>) -> !pith.pattern<[64, 1024], [1, 1]>
  return %p : !pith.pattern<[64, 1024], [1, 1]>
}

// A threshold per column: as integers of the elements' width, once; then vectors of them.
// CHECK-LABEL: func.func @channels
// CHECK-SAME:  %[[T:.*]]: tensor<512xf32>
// CHECK:       %[[LIMITS:.*]] = memref.alloc() {{.*}} : memref<512xi16>
// CHECK:       scf.for
// CHECK:         memref.store %{{.*}}, %[[LIMITS]]
// CHECK:       %[[LIMIT:.*]] = vector.load %[[LIMITS]]{{.*}} : memref<512xi16>, vector<64xi16>
// CHECK:       arith.cmpi sgt, %{{.*}}, %[[LIMIT]] : vector<64xi16>
func.func @channels(%x: tensor<64x512xbf16>, %t: tensor<512xf32>) -> !pith.pattern<[64, 512], [1, 32]> {
  %p = "pith.detect_by"(%x, %t) {axes = array<i64: 0, 1>, granularity = array<i64: 1, 32>, channel = array<i64: 1>}
      : (tensor<64x512xbf16>, tensor<512xf32>) -> !pith.pattern<[64, 512], [1, 32]>
  return %p : !pith.pattern<[64, 512], [1, 32]>
}

// Patterns that callees, branches and loops pass on follow.
// CHECK-LABEL: func.func private @callee
// CHECK-SAME:  (tensor<?xi32>) -> tensor<?xi32>
func.func private @callee(!pith.pattern<[8], [2]>) -> !pith.pattern<[8], [2]>
// CHECK-LABEL: func.func @passed_on
// CHECK-SAME:  (%[[P:.*]]: tensor<?xi32>, %[[C:.*]]: i1) -> tensor<?xi32>
// CHECK:       %[[Q:.*]] = call @callee(%[[P]]) : (tensor<?xi32>) -> tensor<?xi32>
// CHECK:       %[[R:.*]] = arith.select %[[C]], %[[P]], %[[Q]] : tensor<?xi32>
// CHECK:       return %[[R]] : tensor<?xi32>
func.func @passed_on(%p: !pith.pattern<[8], [2]>, %c: i1) -> !pith.pattern<[8], [2]> {
  %q = call @callee(%p) : (!pith.pattern<[8], [2]>) -> !pith.pattern<[8], [2]>
  %r = scf.if %c -> (!pith.pattern<[8], [2]>) {
    scf.yield %p : !pith.pattern<[8], [2]>
  } else {
    scf.yield %q : !pith.pattern<[8], [2]>
  }
  return %r : !pith.pattern<[8], [2]>
}
