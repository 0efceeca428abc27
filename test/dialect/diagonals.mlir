// Formats of diagonals print and parse back, however the difference is written.
// RUN: pith-opt %s | pith-opt - | filecheck %s

// CHECK: affine_map<(d0, d1) -> (d0, d1 - d0)>
#band = #pith.format<affine_map<(i, j) -> (i, j - i)>, [#pith.level<"dense">, #pith.level<"band(1:2)">], 0, 0, 0>
#dia = #pith.format<affine_map<(i, j) -> (-i + j, i)>, [#pith.level<"compressed">, #pith.level<"dense">], 32, 32, 0>
#columns = #pith.format<affine_map<(i, j) -> (i - j, j)>, [#pith.level<"compressed">, #pith.level<"dense">], 0, 16, 0>
// 8 rows share a list of diagonals.
#shared = #pith.format<affine_map<(i, j) -> (i floordiv 8, j - i, i mod 8)>,
  [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">], 32, 32, 0>

// CHECK-LABEL: func.func private @diagonals(
// CHECK-SAME: #pith.level<"dense">, #pith.level<"band(1:2)">
// CHECK-SAME: #pith.level<"compressed">, #pith.level<"dense">
func.func private @diagonals(
  tensor<8x9xf32, #band>, tensor<?x?xf64, #dia>, tensor<3x8xi8, #columns>, tensor<16x?xf32, #shared>)
