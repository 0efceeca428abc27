// RUN: pith-opt --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s

// When panels are packed where registers have 512 bits: by the first tile of rows that meets them, while the panel before
// is multiplied, or not at all; and what is fetched or asked for before it is needed.

// The first tile of rows reads rows of the right operand where they lie, stores a copy, and fetches a later row; the other
// tiles read the copy, which the next panel's takes the place of. Three vectors of a row are two accumulators.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "avx512-fp16"} {

// CHECK-LABEL: func.func @packed_along
// CHECK-SAME:    %{{.*}}: memref<16x256xf32>, %[[b:.*]]: memref<256x96xf32>, %{{.*}}: memref<16x96xf32>
// CHECK:         %[[panels:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?x256x48xf32>
// CHECK-NOT:       write
// CHECK:             vector.load %[[b]]{{.*}} : memref<256x96xf32>, vector<32xf32>
// CHECK:             vector.load %[[b]]{{.*}} : memref<256x96xf32>, vector<16xf32>
// CHECK:             vector.store %{{.*}}, %[[panels]]
// CHECK:             vector.store %{{.*}}, %[[panels]]
// CHECK-COUNT-3:     memref.prefetch %[[b]]{{.*}} locality<3>
// CHECK-COUNT-16:    vector.fma
// CHECK-NOT:         memref.prefetch %[[b]]{{.*}} locality<3>
// CHECK:             vector.load %[[panels]]
func.func @packed_along(%x: memref<16x256xf32>, %w: memref<256x96xf32>, %y: memref<16x96xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<16x256xf32>, memref<256x96xf32>) outs(%y : memref<16x96xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// So many rows that they have an unrolled block per vector of a panel, and meet it once: panels have two slots by turns, and
// every block copies a vector of the next one, or two. Only the first is packed by the tile that meets it. Not with 16 rows,
// above.

// CHECK-LABEL: func.func @packed_ahead
// CHECK-SAME:    %{{.*}}: memref<112x256xf32>, %[[b:.*]]: memref<256x320xf32>, %{{.*}}: memref<112x320xf32>
// CHECK:         %[[two:.*]] = arith.select %{{.*}}, %c2, %{{.*}} : index
// CHECK:         %[[panels:.*]] = memref.alloc(%[[two]]) {{.*}} : memref<?x256x64xf32>
// CHECK-COUNT-6:   vector.fma
// CHECK:           arith.select %{{.*}}, %c1, %c2 : index
// CHECK:           memref.prefetch %[[b]]{{.*}} locality<2>
// CHECK-NEXT:      %[[part:.*]] = vector.load %[[b]]{{.*}}, vector<16xf32>
// CHECK-NEXT:      vector.store %[[part]], %[[panels]]
// CHECK:           scf.if
// CHECK-NEXT:        arith.divui
// CHECK:             %[[next:.*]] = vector.load %[[b]]{{.*}}, vector<16xf32>
// CHECK-NEXT:        vector.store %[[next]], %[[panels]]
// CHECK:           } else {
// CHECK-COUNT-4:     memref.prefetch %[[b]]{{.*}} locality<2>
// CHECK-COUNT-24:  vector.fma
func.func @packed_ahead(%x: memref<112x256xf32>, %w: memref<256x320xf32>, %y: memref<112x320xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<112x256xf32>, memref<256x320xf32>) outs(%y : memref<112x320xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Tiles ask for the lines that they write where caches do not hold them: those of 1024x1024, not those of 16x96.

// CHECK-LABEL: func.func @far_results
// CHECK-SAME:    %[[y:[a-z0-9]+]]: memref<1024x1024xf32>
// CHECK-COUNT-24:  memref.prefetch %[[y]]{{.*}}, write, locality<3>, data
// CHECK-NEXT:      scf.for
func.func @far_results(%x: memref<1024x128xf32>, %w: memref<128x1024xf32>, %y: memref<1024x1024xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<1024x128xf32>, memref<128x1024xf32>) outs(%y : memref<1024x1024xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// No more rows than a tile has: nobody reads a copy, so none is stored. Where only run time knows, a branch tells; the
// last rows of six take a tile of four where they are so few, eight or seven rows two of them.

// CHECK-LABEL: func.func @met_once
// CHECK-NOT:     memref.alloc
// CHECK:         memref.prefetch
// CHECK-LABEL: func.func @met_by_some
// CHECK:         arith.minui %{{.*}}, %c255 : index
// CHECK-NEXT:    scf.if %{{.*}} {
// CHECK-NEXT:      vector.store
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[last:.*]] step %c6 {
// CHECK-COUNT-24:  vector.fma %{{.*}} : vector<64xf32>
// CHECK:         scf.for %{{.*}} = %[[last]] to %{{.*}} step %c4 {
// CHECK-COUNT-16:  vector.fma %{{.*}} : vector<64xf32>
// CHECK-NOT:       vector.fma %{{.*}} : vector<64xf32>
func.func @met_once(%x: memref<4x256xf32>, %w: memref<256x128xf32>, %y: memref<4x128xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<4x256xf32>, memref<256x128xf32>) outs(%y : memref<4x128xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

func.func @met_by_some(%x: memref<?x256xf32>, %w: memref<256x128xf32>, %y: memref<?x128xf32>) {
  linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x256xf32>, memref<256x128xf32>) outs(%y : memref<?x128xf32>) {
  ^bb0(%v: f32, %u: f32, %o: f32):
    %m = arith.mulf %v, %u : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

}
