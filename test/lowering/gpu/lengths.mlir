// Positions in use of a padded batch: blocks per sequence, their prefix sum, a block of threads per sequence.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @lengths_lengths_0(
// CHECK: arith.maxsi
// CHECK: arith.minsi
// CHECK: arith.ceildivui
// CHECK-LABEL: gpu.func @lengths_places_1(
// CHECK: gpu.shuffle up
// CHECK-LABEL: gpu.func @lengths_positions_2(
// CHECK: gpu.block_id x
// CHECK: scf.for
// CHECK-LABEL: func.func @lengths(
// CHECK: gpu.launch_func @lengths_kernels::@lengths_positions_2 blocks in (%dim, %c1, %c1)

// PTX: shfl.sync.up.b32
func.func @lengths(%l: tensor<?xi64>, %s: index) -> !pith.pattern<[-1, -1], [1, 4]> {
  %p = "pith.from_lengths"(%l, %s) : (tensor<?xi64>, index) -> !pith.pattern<[-1, -1], [1, 4]>
  return %p : !pith.pattern<[-1, -1], [1, 4]>
}
