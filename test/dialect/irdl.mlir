// The structure of the dialect is exported as IRDL; upstream's tool then reads and writes pith programs.
// RUN: pith-opt --dump-irdl | filecheck %s --check-prefix=IRDL
// RUN: pith-opt --dump-irdl > %t.irdl.mlir
// RUN: pith-opt %S/ops.mlir > %t.ours.mlir
// RUN: %torch-mlir-opt --irdl-file=%t.irdl.mlir %S/ops.mlir | pith-opt - > %t.theirs.mlir
// RUN: diff %t.ours.mlir %t.theirs.mlir
// RUN: not %torch-mlir-opt --irdl-file=%t.irdl.mlir %s 2>&1 | filecheck %s
// IRDL cannot say that pith.yield is a terminator, so bodies of pit_tile stay with pith-opt:
// RUN: not %torch-mlir-opt --irdl-file=%t.irdl.mlir %S/pit-tile.mlir 2>&1 | filecheck %s --check-prefix=BODY

// BODY: error: block with no terminator, has "pith.yield"

// IRDL: irdl.dialect @pith {
// IRDL-DAG: irdl.type @pattern
// IRDL-DAG: irdl.attribute @buffer
// IRDL-DAG: irdl.attribute @format
// IRDL-DAG: irdl.attribute @level
// IRDL-DAG: irdl.attribute @nm
// IRDL-DAG: irdl.operation @assemble
// IRDL-DAG: irdl.operation @complement
// IRDL-DAG: irdl.operation @compress
// IRDL-DAG: irdl.operation @coordinates
// IRDL-DAG: irdl.operation @decompress
// IRDL-DAG: irdl.operation @detect
// IRDL-DAG: irdl.operation @detect_by
// IRDL-DAG: irdl.operation @disassemble
// IRDL-DAG: irdl.operation @from_coordinates
// IRDL-DAG: irdl.operation @from_lengths
// IRDL-DAG: irdl.operation @from_routing
// IRDL-DAG: irdl.operation @intersection
// IRDL-DAG: irdl.operation @pit_tile
// IRDL-DAG: irdl.operation @prune
// IRDL-DAG: irdl.operation @prune_by
// IRDL-DAG: irdl.operation @repack
// IRDL-DAG: irdl.operation @sample
// IRDL-DAG: irdl.operation @sread
// IRDL-DAG: irdl.operation @swrite
// IRDL-DAG: irdl.operation @topk
// IRDL-DAG: irdl.operation @union
// IRDL-DAG: irdl.operation @validate
// IRDL-DAG: irdl.operation @yield

// Structural misuse is caught there as well.
func.func @f(%a: tensor<8x16xf32>) {
  // CHECK: error: {{.*}}attribute {{.*}}format
  %0 = "pith.prune"(%a) : (tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}
