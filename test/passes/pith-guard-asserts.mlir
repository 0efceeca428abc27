// RUN: pith-opt --pith-guard-asserts %s | filecheck %s

// An index is checked against the size of a table before it is used. After the pass a failing
// check is recorded under an id, and the lookup reads entry 0 instead of memory out of bounds.

// CHECK: module attributes {pith.checks = {"[[ID:[0-9]+]]" = "index out of range"}}
// CHECK: func.func private @pith_check(i1, i64)
// CHECK-LABEL: func.func @lookup
// CHECK: %[[OK:.+]] = arith.cmpi slt, %[[I:.+]], %{{.+}} : i64
// CHECK: %[[NUMBER:.+]] = arith.constant [[ID]] : i64
// CHECK: call @pith_check(%[[OK]], %[[NUMBER]]) : (i1, i64) -> ()
// CHECK: %[[SAFE:.+]] = arith.select %[[OK]], %[[I]], %{{.+}} : i64
// CHECK: arith.index_cast %[[SAFE]] : i64 to index
// CHECK-NOT: cf.assert
func.func @lookup(%table: tensor<10xf32>, %i: i64) -> f32 {
  %n = arith.constant 10 : i64
  %ok = arith.cmpi slt, %i, %n : i64
  cf.assert %ok, "index out of range"
  %j = arith.index_cast %i : i64 to index
  %v = tensor.extract %table[%j] : tensor<10xf32>
  return %v : f32
}
