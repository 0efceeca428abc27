// A linear layer x W^T, W in V(4)C1(1:2)->C0(2:4), f16: the encoded operand is the transposed rhs. Four rows share a
// choice, a stream wants 16: k is dense, and every group of 4 elements is searched for among those that its row holds.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

#hss = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 4, d1 floordiv 8, (d1 floordiv 4) mod 2, d0 mod 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<1, 2>, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// Coordinates of a choice of 1 in 2 take one bit, of 2 in 4 two bits.
// CHECK-LABEL: gpu.func @linear_matmul_0(
// CHECK-SAME: %[[X:.*]]: memref<?x64xf16>, %[[CRD1:.*]]: memref<{{.*}}xi8>, %[[CRD0:.*]]: memref<{{.*}}xi8>, %[[W:arg[0-9]+]]: memref<{{.*}}xf16>, %[[Y:arg[0-9]+]]: memref<?x32xf16>) kernel
// CHECK: memref.load %[[CRD1]]
// CHECK: %[[HELD:.*]] = arith.cmpi eq, {{.*}} : index
// CHECK: memref.load %[[CRD0]]
// CHECK: vector.load %[[W]]
// CHECK: arith.select %[[HELD]], {{.*}} : vector<4xf16>
// CHECK: nvgpu.ldmatrix
// CHECK: nvgpu.mma.sp.sync
// The old value is widened, added to in f32 and rounded once.
// CHECK: vector.load %[[Y]]
// CHECK: arith.extf
// CHECK: arith.addf
// CHECK: arith.truncf
// CHECK: vector.store {{.*}}, %[[Y]]

// NVVM: llvm.inline_asm {{.*}}mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32
// PTX: .target sm_90
// PTX: mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32
func.func @linear(%x: tensor<?x64xf16>, %w: tensor<32x64xf16, #hss>, %y: tensor<?x32xf16> {bufferization.writable = true}) -> tensor<?x32xf16> {
  %r = linalg.generic {
    indexing_maps = [affine_map<(b, o, i) -> (b, i)>, affine_map<(b, o, i) -> (o, i)>, affine_map<(b, o, i) -> (b, o)>],
    iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%x, %w : tensor<?x64xf16>, tensor<32x64xf16, #hss>) outs(%y : tensor<?x32xf16>) {
  ^bb0(%a: f16, %b: f16, %c: f16):
    %m = arith.mulf %a, %b : f16
    %s = arith.addf %c, %m : f16
    linalg.yield %s : f16
  } -> tensor<?x32xf16>
  return %r : tensor<?x32xf16>
}
