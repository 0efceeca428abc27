// How the output is written.
// RUN: pith-opt %s --mlir-print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: pith-opt %s --mlir-print-debuginfo | filecheck %s --check-prefix=LOC
// RUN: pith-opt %s --mlir-elide-elementsattrs-if-larger=4 | filecheck %s --check-prefix=ELIDE
// RUN: pith-opt %s --mlir-print-local-scope | filecheck %s --check-prefix=LOCAL
// RUN: pith-opt %s --mlir-pretty-debuginfo | filecheck %s --check-prefix=PRETTY
// RUN: pith-opt %s --mlir-print-skip-regions | filecheck %s --check-prefix=SKIP
// RUN: pith-opt %s -o %t.out && filecheck %s --check-prefix=FILE < %t.out

// GENERIC: "func.func"() <{function_type = {{.*}}, sym_name = "f"}>
// LOC:     loc("{{.*}}output-format.mlir":23:8)
// ELIDE:   dense_resource<__elided__>
// ELIDE:   dense<[7, 8]>
// LOCAL:   affine_map<(d0) -> (d0 + 1)>
// PRETTY:  arith.constant {{.*}} {{.*}}output-format.mlir:23:8
// SKIP:    module {...}
// FILE:    func.func @f

// Bytecode goes through a pipe or a file and comes back the same.
// RUN: pith-opt %s --emit-bytecode | pith-opt - | filecheck %s --check-prefix=FILE
// RUN: pith-opt %s --emit-bytecode -o %t.mlirbc && pith-opt %t.mlirbc > %t.back && pith-opt %s > %t.text && diff %t.back %t.text
func.func @f() -> (tensor<6xi32>, tensor<2xi32>) {
  %0 = arith.constant dense<[1, 2, 3, 4, 5, 6]> : tensor<6xi32>
  %1 = arith.constant dense<[7, 8]> : tensor<2xi32>
  return %0, %1 : tensor<6xi32>, tensor<2xi32>
}

func.func private @g() attributes {pith.map = affine_map<(d0) -> (d0 + 1)>}
