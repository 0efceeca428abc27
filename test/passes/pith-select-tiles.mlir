// What to pack, chosen by predicted cost; dense always competes.
// RUN: pith-opt %s --pith-infer-pit-axes --pith-select-tiles=target=cpu | filecheck %s --check-prefix=UNKNOWN
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=cpu sparsity=0.5' | filecheck %s --check-prefix=HALF
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=cpu sparsity=0.99' | filecheck %s --check-prefix=HIGH
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=cpu sparsity=0.9 block=32,1' | filecheck %s --check-prefix=BLOCKS
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=cpu sparsity=0.95 block=4,1 table=%S/Inputs/pit-4096.json' | filecheck %s --check-prefix=TABLE
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=sm_90 sparsity=0.99 block=32,1' | filecheck %s --check-prefix=GPU
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=emulate:sm_90 sparsity=0.99 block=32,1' | filecheck %s --check-prefix=GPU
// RUN: pith-opt %s --pith-infer-pit-axes '--pith-select-tiles=target=sm_90 sparsity=0.9 block=32,1 table=%S/Inputs/example.tiles.json' | filecheck %s --check-prefix=DATABASE
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-infer-pit-axes,pith-select-tiles{target=cpu},func.func(canonicalize),sparsifier{vl=16})' | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %s --pith-select-tiles=sparsity=0.99 | filecheck %s --check-prefix=NOAXES
// RUN: not pith-opt %s --pith-select-tiles=target=abacus 2>&1 | filecheck %s --check-prefix=TARGET
// RUN: not pith-opt %s --pith-infer-pit-axes --pith-select-tiles=sparsity=1.5 2>&1 | filecheck %s --check-prefix=RANGE
// RUN: not pith-opt %s --pith-select-tiles=table=%s 2>&1 | filecheck %s --check-prefix=NOTABLE

// Nothing is known about the operand: only dense competes.
// UNKNOWN-LABEL: func.func @matmul
// UNKNOWN: pith.tile_decision = {candidates = [{cost_ns = {{[0-9]+}} : i64, covered = 0.000000e+00 : f64, name = "dense"}], choice = "dense"}

// Half empty is not empty enough.
// HALF-LABEL: func.func @matmul
// HALF: candidates = [{cost_ns = {{[0-9]+}} : i64, covered = 0.000000e+00 : f64, name = "dense"}, {axis = {{.*}} choice = "dense", sparsity = 5.000000e-01 : f64}

// The k axis, one element at a time; the m axis (it scatters its results) comes later, dense last.
// HIGH-LABEL: func.func @matmul
// HIGH: candidates = [{axis = 2 : i64, {{.*}}micro_tile = array<i64: 1, 1>, name = "d2:1x1", tile = array<i64: 1, 64, 32>},
// HIGH-SAME: name = "d0:1x1"
// HIGH-SAME: name = "dense"}], choice = "d2:1x1"

// Blocks of 32x1: a micro-tile of that height covers nothing but zeros' own blocks.
// BLOCKS-LABEL: func.func @matmul
// BLOCKS: candidates = [{axis = 2 : i64, {{.*}}covered = 9.000000e-01 : f64, micro_tile = array<i64: 32, 1>, name = "d2:32x1"
// BLOCKS-SAME: choice = "d2:32x1"

// Measured latencies instead of the model: the stored decision of PIT's table.
// TABLE-LABEL: func.func @matmul
// TABLE: choice = "d2:16x1"

// A GPU that nobody measured: blocks of a multiprocessor, waves, and what bounds them. Dense competes.
// GPU-LABEL: func.func @matmul
// GPU: candidates = [{axis = 2 : i64, {{.*}}micro_tile = array<i64: 32, 1>, name = "d2:32x1",
// GPU-SAME: note = "{{[0-9]+}} blocks, {{[0-9]+}} blocks of an SM ({{[a-z ]+}}), {{[0-9.]+}} waves, {{[0-9]+}} flop/B, bound by multiprocessors, detection {{[0-9]+}} us", tile = array<i64: 32, 128, 16>}
// GPU-SAME: name = "dense", note = "
// GPU-SAME: choice = "d2:32x1"

// A database of measured GPUs in place of the model: the chip's, of the element type, of the nearest sizes.
// DATABASE-LABEL: func.func @matmul
// DATABASE: cost_ns = 500000 : i64, covered = 9.000000e-01 : f64, micro_tile = array<i64: 32, 1>
// DATABASE-SAME: choice = "d2:32x1"

// The annotations do not disturb what comes after, sparse operands included.
// LLVM: llvm.func @matmul
// LLVM: llvm.func @encoded
// LLVM-NOT: linalg.
// LLVM-NOT: sparse_tensor.

// NOAXES-NOT: pith.tile_decision
// TARGET: error: 'builtin.module' op cannot select tiles: no cost model for target 'abacus'
// RANGE: error: 'linalg.matmul' op expects the option sparsity between 0 and 1, got 1.5
// NOTABLE: error: 'builtin.module' op cannot select tiles: not a latency table
func.func @matmul(%a: tensor<4096x4096xf32>, %b: tensor<4096x4096xf32>, %c: tensor<4096x4096xf32>) -> tensor<4096x4096xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<4096x4096xf32>, tensor<4096x4096xf32>) outs(%c : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  return %0 : tensor<4096x4096xf32>
}

// What is known of one op stands on it.
// UNKNOWN-LABEL: func.func @annotated
// UNKNOWN: choice = "d2:
func.func @annotated(%a: tensor<512x?xf32>, %b: tensor<?x512xf32>, %c: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %0 = linalg.matmul {pith.sparsity = 0.99 : f64} ins(%a, %b : tensor<512x?xf32>, tensor<?x512xf32>) outs(%c : tensor<512x512xf32>) -> tensor<512x512xf32>
  return %0 : tensor<512x512xf32>
}

#CSR = #sparse_tensor.encoding<{map = (d0, d1) -> (d0 : dense, d1 : compressed)}>

// An encoded operand's format decides how it runs.
// HIGH-LABEL: func.func @encoded
// HIGH-NOT: pith.tile_decision
func.func @encoded(%a: tensor<64x64xf32, #CSR>, %b: tensor<64x64xf32>, %c: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<64x64xf32, #CSR>, tensor<64x64xf32>) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}

// An operand marked as dynamic: the decision says which micro-tile to count, and up to what share of them it pays. With
// a table that share is measured: 16x1 takes as long as dense at 46 % of the micro-tiles.
// HIGH-LABEL: func.func @marked
// UNKNOWN-LABEL: func.func @marked
// UNKNOWN: pith.tile_decision = {break_even = {{[0-9.e-]+}} : f64
// UNKNOWN-SAME: choice = "d2:4x1", sparsity = 9.000000e-01
// TABLE-LABEL: func.func @marked
// TABLE: pith.tile_decision = {break_even = 4.643000e-01 : f64
// TABLE-SAME: choice = "d2:16x1"
func.func @marked(%a: tensor<4096x4096xf32>, %b: tensor<4096x4096xf32>, %c: tensor<4096x4096xf32>) -> tensor<4096x4096xf32> {
  %0 = linalg.matmul {pith.sparsity = 0.9 : f64, pith.dynamic = [{operand = 0, granularity = array<i64: 4, 1>}]}
      ins(%a, %b : tensor<4096x4096xf32>, tensor<4096x4096xf32>) outs(%c : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  return %0 : tensor<4096x4096xf32>
}

// Of a marked operand only what its granularity cuts is packed: columns of A here, in whole.
// HALF-LABEL: func.func @columns
// HALF: micro_tile = array<i64: 0, 1>, name = "d2:*x1"
// HALF-NOT: "d0:
func.func @columns(%a: tensor<512x512xf32>, %b: tensor<512x512xf32>, %c: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %0 = linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 0, 1>}]}
      ins(%a, %b : tensor<512x512xf32>, tensor<512x512xf32>) outs(%c : tensor<512x512xf32>) -> tensor<512x512xf32>
  return %0 : tensor<512x512xf32>
}
