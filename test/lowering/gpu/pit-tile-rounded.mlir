// Blocks of k have rows of their own, so several blocks add to one place: in f32, rounded once at the end.
// RUN: pith-opt %s --pith-assemble-arguments --convert-pith-to-gpu | filecheck %s
// RUN: pith-opt %s --pith-assemble-arguments --convert-pith-to-gpu --canonicalize --cse --gpu-to-nvvm | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pith-assemble-arguments --convert-pith-to-gpu --canonicalize --cse --gpu-to-nvvm --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK: gpu.func @f_clear_[[#]](%{{.*}}: memref<?x?xf32>)
// CHECK: gpu.func @f_pit_[[#]](
// CHECK: nvgpu.mma.sync
// CHECK: memref.atomic_rmw addf %{{.*}} : (f32, memref<?x?xf32>) -> f32
// CHECK: gpu.func @f_add_[[#]](%{{.*}}: memref<?x?xf32>, %{{.*}}: memref<?x?xf16>)
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
// NVVM: nvvm.mma.sync
// NVVM: llvm.atomicrmw fadd
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// PTX: atom.global.add.f32
// PTX: cvt.rn.f16.f32
func.func @f(%p: !pith.pattern<[-1, -1], [1, 32]>, %a: tensor<?x?xf16>, %b: tensor<?x?xf16>, %c: tensor<?x?xf16>) -> tensor<?x?xf16> {
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({
  ^bb0(%ta: tensor<32x32xf16>, %tb: tensor<32x32xf16>, %tc: tensor<32x32xf16>):
    %s = linalg.matmul ins(%ta, %tb : tensor<32x32xf16>, tensor<32x32xf16>) outs(%tc : tensor<32x32xf16>) -> tensor<32x32xf16>
    "pith.yield"(%s) : (tensor<32x32xf16>) -> ()
  }) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], axes = array<i64: 0, 2>, tile = array<i64: 32, 32, 32>,
      micro_tile = array<i64: 1, 32>, accumulate = true, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1, -1], [1, 32]>, tensor<?x?xf16>, tensor<?x?xf16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  return %r : tensor<?x?xf16>
}
