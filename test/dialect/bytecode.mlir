// Attributes, types, ops and regions survive bytecode.
// RUN: pith-opt %s --emit-bytecode -o %t.bc && pith-opt %t.bc | filecheck %s
// RUN: pith-opt %S/ops.mlir -o %t.direct.mlir
// RUN: pith-opt %S/ops.mlir --emit-bytecode -o %t.ops.bc && pith-opt %t.ops.bc -o %t.via.mlir
// RUN: diff %t.direct.mlir %t.via.mlir

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// CHECK-LABEL: func.func @f(
// CHECK-SAME: tensor<8x16xf32, #pith.format<#{{.*}}, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2 : i64, 4 : i64>], 0 : i64, 0 : i64, 0 : i64>>
// CHECK-SAME: !pith.pattern<[8], [1]>
// CHECK-SAME: attributes {pith.buffer = #pith.buffer<64 : i64, "spill", "l2">}
func.func @f(%a: tensor<8x16xf32, #nm>, %p: !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
    attributes {pith.buffer = #pith.buffer<64, "spill", "l2">} {
  // CHECK: %[[D:.*]] = "pith.decompress"
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #nm>) -> tensor<8x16xf32>
  // CHECK: "pith.sread"(%[[D]], %{{.*}}) {dims = array<i64: 0>}
  %1 = "pith.sread"(%0, %p) {dims = array<i64: 0>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @padded(
// CHECK-SAME: tensor<5x7xf32, #pith.padded<#pith.format<
func.func @padded(%a: tensor<5x7xf32, #pith.padded<#nm>>) -> tensor<5x7xf32> {
  // CHECK: "pith.prune"(%{{.*}}) {format = #pith.padded<#pith.format<
  %0 = "pith.decompress"(%a) : (tensor<5x7xf32, #pith.padded<#nm>>) -> tensor<5x7xf32>
  %1 = "pith.prune"(%0) {format = #pith.padded<#nm>} : (tensor<5x7xf32>) -> tensor<5x7xf32>
  return %1 : tensor<5x7xf32>
}
