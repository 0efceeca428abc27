// RUN: pith-opt --convert-pith-to-loops --canonicalize --cse %s | filecheck %s

// A bf16 product with sparse 16x32 blocks, each of which is one tile. The dense operand is packed so that
// both elements of a pair of contracted coordinates are neighbours. Every task has 16 rows; the blocks
// of a row are visited through their positions, and each is loaded once for four tiles of columns.

#bsr = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 16, d1 floordiv 32, d0 mod 16, d1 mod 32)>,
                    [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>

module attributes {pith.isa = "amx"} {
  // CHECK-LABEL: func.func @blocks
  // CHECK-SAME:    (%[[pos:[a-z0-9]+]]: tensor<?xindex>, %[[crd:[a-z0-9]+]]: tensor<?xindex>, %[[val:[a-z0-9]+]]: tensor<?xbf16>,
  // CHECK:         %[[VAL:.*]] = bufferization.to_buffer %[[val]] read_only
  // 64 columns are four panels; 96 contracted coordinates are 48 pairs.
  // CHECK:         %[[panels:.*]] = memref.alloc() {alignment = 64 : i64} : memref<4x48x32xbf16>
  // CHECK:         scf.parallel
  // CHECK:           vector.interleave %{{.*}} : vector<16xbf16> -> vector<32xbf16>
  // CHECK:         scf.parallel (%[[rows:[a-z0-9]+]])
  // CHECK:           %[[zero:.*]] = x86.amx.tile_zero : !x86.amx.tile<16x16xf32>
  // CHECK:           tensor.extract %[[pos]]
  // CHECK:           %[[sums:.*]]:4 = scf.for %[[p:[a-z0-9]+]] = {{.*}} iter_args({{.*}}) -> (!x86.amx.tile<16x16xf32>,
  // CHECK:             %[[k:.*]] = tensor.extract %[[crd]][%[[p]]]
  // CHECK:             %[[at:.*]] = arith.muli %[[p]], %c512
  // CHECK:             %[[a:.*]] = x86.amx.tile_load %[[VAL]][%[[at]]], %c32 : {{.*}} into !x86.amx.tile<16x32xbf16>
  // CHECK:             %[[b:.*]] = x86.amx.tile_load %[[panels]]
  // CHECK:             x86.amx.tile_mulf %[[a]], %[[b]]
  // CHECK-COUNT-3:     x86.amx.tile_mulf %[[a]]
  // CHECK:           x86.amx.tile_store %{{.*}}, %[[sums]]#0 : memref<?x64xf32>
  // CHECK:         bufferization.to_tensor
  func.func @blocks(%pos: tensor<?xindex>, %crd: tensor<?xindex>, %val: tensor<?xbf16>, %rows: index,
                    %x: tensor<96x64xbf16>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %A = "pith.assemble"(%pos, %crd, %val, %rows) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 1>}
        : (tensor<?xindex>, tensor<?xindex>, tensor<?xbf16>, index) -> tensor<?x96xbf16, #bsr>
    %c0 = arith.constant 0.0 : f32
    %init = linalg.fill ins(%c0 : f32) outs(%y : tensor<?x64xf32>) -> tensor<?x64xf32>
    %r = linalg.generic {indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%A, %x : tensor<?x96xbf16, #bsr>, tensor<96x64xbf16>) outs(%init : tensor<?x64xf32>) {
    ^bb0(%v: bf16, %w: bf16, %s: f32):
      %v1 = arith.extf %v : bf16 to f32
      %w1 = arith.extf %w : bf16 to f32
      %p = arith.mulf %v1, %w1 : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }
}
