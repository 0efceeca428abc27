// RUN: pith-opt --convert-pith-tiles-to-panels --canonicalize --cse %s | filecheck %s
// RUN: sed -e 's/"amx"/"avx512-bf16"/' %s | pith-opt --convert-pith-tiles-to-panels | filecheck %s --check-prefix=DOTS
// RUN: sed -e 's/"amx"/"avx2"/' %s | pith-opt --convert-pith-tiles-to-panels | filecheck %s --check-prefix=NONE

// Listed rows of a bf16 product on AMX: a task packs panels in pairs of contracted coordinates, gathers 64 listed rows
// into tiles of 16 x 32, and multiplies those. Sums go through memory to the rows of the list.

#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#c = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "amx"} {
  // CHECK-LABEL: func.func @rows
  // CHECK:         %[[ids:.*]] = "pith.coordinates"
  // CHECK:         scf.parallel
  // CHECK:           %[[panels:.*]] = memref.alloc() {alignment = 64 : i64} : memref<16x64x32xbf16>
  // CHECK:           %[[pairs:.*]] = vector.interleave
  // CHECK:           vector.store %[[pairs]], %[[panels]]
  // CHECK:           %[[tiles:.*]] = memref.alloc() {alignment = 64 : i64} : memref<4x4x16x32xbf16>
  // CHECK:           scf.for
  // CHECK:             %[[id:.*]] = memref.load
  // CHECK:             %[[row:.*]] = vector.load {{.*}} : memref<512x128xbf16>, vector<32xbf16>
  // CHECK:             vector.store %[[row]], %[[tiles]]
  // CHECK:             scf.for {{.*}} -> (!x86.amx.tile<16x16xf32>, !x86.amx.tile<16x16xf32>, !x86.amx.tile<16x16xf32>, !x86.amx.tile<16x16xf32>)
  // CHECK:               x86.amx.tile_load %[[tiles]]
  // CHECK:               x86.amx.tile_load %[[tiles]]
  // CHECK:               x86.amx.tile_load %[[panels]]
  // CHECK:               x86.amx.tile_mulf
  // CHECK:             x86.amx.tile_store
  // CHECK-NOT:     pith.pit_tile

  // DOTS-LABEL: func.func @rows
  // DOTS:         memref<8x4x8x32xbf16>
  // DOTS:         x86.avx512.dot

  // NONE-LABEL: func.func @rows
  // NONE-NOT:     x86.
  // NONE:         vector.fma
  func.func @rows(%p: !pith.pattern<[512], [1]>, %a: tensor<512x128xbf16>, %b: tensor<128x256xbf16>,
                  %init: tensor<512x256xf32>) -> tensor<512x256xf32> {
    %r = "pith.pit_tile"(%p, %a, %b, %init) ({
    ^bb0(%ta: tensor<1x128xbf16>, %tb: tensor<128x256xbf16>, %tc: tensor<1x256xf32>):
      %t = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%ta, %tb : tensor<1x128xbf16>, tensor<128x256xbf16>) outs(%tc : tensor<1x256xf32>) {
      ^bb0(%x: bf16, %y: bf16, %z: f32):
        %wx = arith.extf %x : bf16 to f32
        %wy = arith.extf %y : bf16 to f32
        %u = arith.mulf %wx, %wy : f32
        %v = arith.addf %z, %u : f32
        linalg.yield %v : f32
      } -> tensor<1x256xf32>
      "pith.yield"(%t) : (tensor<1x256xf32>) -> ()
    }) {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0>,
        tile = array<i64: 1, 0, 0>, micro_tile = array<i64: 1>, accumulate = true,
        operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
        : (!pith.pattern<[512], [1]>, tensor<512x128xbf16>, tensor<128x256xbf16>, tensor<512x256xf32>) -> tensor<512x256xf32>
    return %r : tensor<512x256xf32>
  }
}
