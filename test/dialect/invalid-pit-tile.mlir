// Every verifier message of pit_tile and yield.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects affine maps in indexing_maps, got 1}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, 1], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects iterator_types of "parallel" or "reduction", got "window"}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "window", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects accumulate to be true or false, got 0 : i8}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = 0 : i8}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32, #csr>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects input 0 without an encoding}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32, #csr>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32, #csr>) {
  // expected-error @below {{'pith.pit_tile' op expects init without an encoding}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32, #csr>) -> tensor<128x512xf32, #csr>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one indexing map per operand (3), got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects the map of input 0 to have one dimension per iterator (2) and no symbols, got (d0, d1, d2) -> (d0, d2)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects the map of input 1 to have one result per dimension of tensor<256x512xf32>, got (d0, d1, d2) -> (d2)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, affine_map<(m, n, k) -> (k)>, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<200x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects iteration dimension 2 to have one size, got 256 by input 0 and 200 by input 1}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<200x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[64], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects iteration dimension 0 to have one size, got 64 by the pattern and 128 by input 0}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[64], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one entry of axes per pattern axis (1), got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 1>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects axes to be dimensions of the iteration space (0 to 2), got 3}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 3>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128, 128], [1, 1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects distinct axes, got [0, 0]}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 1>, accumulate = false}
      : (!pith.pattern<[128, 128], [1, 1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects axis d0 to be permutation-invariant: in the map of input 0 it must be a bare result, at most once, got (d0, d1, d2) -> (d0 + d2, d2)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [affine_map<(m, n, k) -> (m + k, k)>, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[-1], [1]>, %a: tensor<128x?xf32>, %b: tensor<?x?xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects axis d2 to be permutation-invariant: in the map of input 1 it must be a bare result, at most once, got (d0, d1, d2) -> (d2, d2)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, affine_map<(m, n, k) -> (k, k)>, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 2>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[-1], [1]>, tensor<128x?xf32>, tensor<?x?xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x512xf32>, %b: tensor<128x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects axis d2 to index at least one operand}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [affine_map<(m, n, k) -> (m, n)>, affine_map<(m, n, k) -> (m, n)>, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 2>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x512xf32>, tensor<128x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one entry of tile per iteration dimension (3), got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects tile >= 0 (0: the whole dimension), got -1 for d1}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, -1, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one entry of micro_tile per axis (1), got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects a tile >= 1 along axis d0, got 0}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 0, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [12]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects micro_tile 0 to divide the tile 32 of d0 and the pattern's granularity 12, got 12}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 12>, accumulate = false}
      : (!pith.pattern<[128], [12]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects micro_tile 0 to divide the tile 32 of d0 and the pattern's granularity 1, got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 2>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128, 256], [1, 1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one packed axis at most (tile larger than micro_tile) per pattern, got d0, d2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 1>, accumulate = false}
      : (!pith.pattern<[128, 256], [1, 1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x767xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects tile 0 for every dimension of d1 + d2 in the map of input 1, got one for d1}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, affine_map<(m, n, k) -> (k, n + k)>, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 0>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x767xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects bare dimensions in the map of init, got (d0, d1, d2) -> (d0, d1 floordiv 2)}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, affine_map<(m, n, k) -> (m, n floordiv 2)>], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 0, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects every parallel dimension to index init, d2 does not}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "parallel"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects no reduction dimension to index init, d1 does}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "reduction", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128, 256], [1, 64]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects accumulate = true: the pattern selects other d0 for every micro-tile of the reduction d2, so tiles meet in init}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1, 64>, accumulate = false}
      : (!pith.pattern<[128, 256], [1, 64]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects the result type of its init, tensor<128x512xf32>, got tensor<128x512xf16>}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf16>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects a body of one block, got 0}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({}) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects one block argument per operand (3), got 2}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects block argument 1 to be the operand's tile, tensor<64x32xf32>, got tensor<64x64xf32>}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x64xf32>, %tc: tensor<32x32xf32>):
    %x = tensor.empty() : tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects pith.yield at the end of its body}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    llvm.unreachable
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects pith.yield of the init's tile, tensor<32x32xf32>, got tensor<64x32xf32>}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    "pith.yield"(%tb) : (tensor<64x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @f(%p: !pith.pattern<[128], [1]>, %a: tensor<128x256xf32>, %b: tensor<256x512xf32>, %c: tensor<128x512xf32>) {
  // expected-error @below {{'pith.pit_tile' op expects a body without linalg.index: places in a packed tile are not those of the tensor}}
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
    %x = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        outs(%tc : tensor<32x32xf32>) {
    ^bb1(%o: f32):
      %i = linalg.index 0 : index
      %j = arith.index_cast %i : index to i32
      %v = arith.sitofp %j : i32 to f32
      linalg.yield %v : f32
    } -> tensor<32x32xf32>
    "pith.yield"(%x) : (tensor<32x32xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>, indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>, accumulate = false}
      : (!pith.pattern<[128], [1]>, tensor<128x256xf32>, tensor<256x512xf32>, tensor<128x512xf32>) -> tensor<128x512xf32>
  return
}

// -----

func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{'pith.yield' op expects pith.pit_tile as its parent}}
  "pith.yield"(%a) : (tensor<8xf32>) -> ()
}
