// pit_tile: loops over packed tiles around one instance of the dense body.
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --cse | filecheck %s
// RUN: pith-opt %s --convert-pith-patterns-to-linalg --cse --one-shot-bufferize=bufferize-function-boundaries=true --canonicalize | filecheck %s --check-prefix=BUFFERS

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The k axis: C's tile is read and written once, around the loop over the listed k.
// CHECK-LABEL: func.func @packed_k
// CHECK-SAME:  (%[[P:.*]]: tensor<?xi32>, %[[A:.*]]: tensor<32x53xf32>, %[[B:.*]]: tensor<53x64xf32>, %[[C:.*]]: tensor<32x64xf32>
// CHECK:       %[[COUNT:.*]] = tensor.dim %[[P]]
// CHECK:       scf.for %[[N:.*]] = %{{.*}} to %c64{{.*}} step %c32{{.*}} iter_args(%[[OUT:.*]] = %[[C]])
// CHECK:         %[[TC:.*]] = tensor.extract_slice %[[OUT]][0, %[[N]]] [32, 32] [1, 1]
// CHECK:         %[[TILE:.*]] = scf.for %[[K:.*]] = %{{.*}} to %[[COUNT]] step %c8{{.*}} iter_args(%[[ACC:.*]] = %[[TC]])
// CHECK:           %[[TA:.*]] = scf.for {{.*}} -> (tensor<32x8xf32>)
// CHECK:             tensor.extract %[[P]]
// CHECK:             tensor.extract_slice %[[A]][0, %{{.*}}] [32, %{{.*}}]
// CHECK:           %[[TB:.*]] = scf.for {{.*}} -> (tensor<8x32xf32>)
// CHECK:             tensor.extract_slice %[[B]][%{{.*}}, %[[N]]] [%{{.*}}, 32]
// CHECK:           linalg.matmul ins(%[[TA]], %[[TB]] : {{.*}}) outs(%[[ACC]] :
// CHECK-NOT:     linalg.matmul
// CHECK:         tensor.insert_slice %{{.*}} into %[[OUT]][0, %[[N]]] [32, 32] [1, 1]
// Two tiles are gathered; C is updated where it is.
// BUFFERS-LABEL: func.func @packed_k
// BUFFERS-COUNT-2: memref.alloc()
// BUFFERS-NOT:     memref.alloc
// BUFFERS:         linalg.matmul {{.*}} outs(%[[C:.*]] : memref<32x32xf32, strided<
// BUFFERS-NOT:     memref.alloc
// BUFFERS:         return
func.func @packed_k(%p: !pith.pattern<[53], [1]>, %a: tensor<32x53xf32>, %b: tensor<53x64xf32>, %c: tensor<32x64xf32> {bufferization.writable = true}) -> tensor<32x64xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x8xf32>, %tb: tensor<8x32xf32>, %tc: tensor<32x32xf32>):
    %t = linalg.matmul ins(%ta, %tb : tensor<32x8xf32>, tensor<8x32xf32>) outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
    "pith.yield"(%t) : (tensor<32x32xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 2>,
      tile = array<i64: 32, 32, 8>, micro_tile = array<i64: 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[53], [1]>, tensor<32x53xf32>, tensor<53x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  return %r : tensor<32x64xf32>
}

// Rows in blocks of 4, k packed (PIT's 32x1): entries are sorted into one group per block of rows by
// counting; a block of rows whose group is empty is left alone.
// CHECK-LABEL: func.func @rows_and_k
// CHECK-SAME:  (%[[P:.*]]: tensor<?x2xi32>
// CHECK:       tensor.empty() : tensor<11xindex>
// CHECK:       scf.for %{{.*}} -> (tensor<11xindex>)
// CHECK:       scf.for %{{.*}} -> (tensor<11xindex>)
// CHECK:       scf.for %{{.*}} -> (tensor<11xindex>, tensor<?xi32>)
// CHECK:       scf.for %[[M:.*]] = %{{.*}} to %c8
// CHECK:         %[[LISTED:.*]] = arith.cmpi ult
// CHECK:         scf.if %[[LISTED]]
// CHECK:           linalg.matmul
// CHECK:           arith.addf
// CHECK:         } else {
func.func @rows_and_k(%p: !pith.pattern<[32, 53], [4, 1]>, %a: tensor<32x53xf32>, %b: tensor<53x64xf32>, %c: tensor<32x64xf32>) -> tensor<32x64xf32> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<4x8xf32>, %tb: tensor<8x64xf32>, %tc: tensor<4x64xf32>):
    %t = linalg.matmul ins(%ta, %tb : tensor<4x8xf32>, tensor<8x64xf32>) outs(%tc : tensor<4x64xf32>) -> tensor<4x64xf32>
    "pith.yield"(%t) : (tensor<4x64xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 4, 0, 8>, micro_tile = array<i64: 4, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[32, 53], [4, 1]>, tensor<32x53xf32>, tensor<53x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  return %r : tensor<32x64xf32>
}

// Two patterns, both packed: rows around k, and C's tile is carried along k.
// CHECK-LABEL: func.func @rows_times_k
// CHECK-SAME:  (%[[P:.*]]: tensor<?xi32>, %[[Q:.*]]: tensor<?xi32>
// CHECK-DAG:   %[[ROWS:.*]] = tensor.dim %[[P]]
// CHECK-DAG:   %[[REDS:.*]] = tensor.dim %[[Q]]
// CHECK:       scf.for %{{.*}} to %[[ROWS]] step %c8
// CHECK:           scf.for %{{.*}} to %[[REDS]] step %c8{{.*}} -> (tensor<8x64xf32>)
// CHECK:             linalg.matmul
func.func @rows_times_k(%p: !pith.pattern<[32], [1]>, %q: !pith.pattern<[53], [1]>, %a: tensor<32x53xf32>, %b: tensor<53x64xf32>, %c: tensor<32x64xf32>) -> tensor<32x64xf32> {
  %r = "pith.pit_tile"(%p, %q, %a, %b, %c) ({
  ^bb0(%ta: tensor<8x8xf32>, %tb: tensor<8x64xf32>, %tc: tensor<8x64xf32>):
    %t = linalg.matmul ins(%ta, %tb : tensor<8x8xf32>, tensor<8x64xf32>) outs(%tc : tensor<8x64xf32>) -> tensor<8x64xf32>
    "pith.yield"(%t) : (tensor<8x64xf32>) -> ()
  }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>,
      tile = array<i64: 8, 0, 8>, micro_tile = array<i64: 1, 1>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (!pith.pattern<[32], [1]>, !pith.pattern<[53], [1]>, tensor<32x53xf32>, tensor<53x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  return %r : tensor<32x64xf32>
}

// Patterns and their coordinates are one tensor.
// CHECK-LABEL: func.func @coordinates
// CHECK-SAME:  (%[[C:.*]]: tensor<?x2xi32>, %[[D:.*]]: tensor<5xi32>)
// CHECK:       %[[E:.*]] = tensor.cast %[[D]] : tensor<5xi32> to tensor<?xi32>
// CHECK:       return %[[C]], %[[E]]
func.func @coordinates(%c: tensor<?x2xi32>, %d: tensor<5xi32>) -> (tensor<?x2xi32>, tensor<?xi32>) {
  %p = "pith.from_coordinates"(%c) : (tensor<?x2xi32>) -> !pith.pattern<[8, 8], [1, 1]>
  %e = "pith.coordinates"(%p) : (!pith.pattern<[8, 8], [1, 1]>) -> tensor<?x2xi32>
  %q = "pith.from_coordinates"(%d) : (tensor<5xi32>) -> !pith.pattern<[8], [1]>
  %f = "pith.coordinates"(%q) : (!pith.pattern<[8], [1]>) -> tensor<?xi32>
  return %e, %f : tensor<?x2xi32>, tensor<?xi32>
}
