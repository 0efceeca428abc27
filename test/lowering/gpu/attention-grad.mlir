// pith.attention_grad of keys and values in bf16: what pith.attention calls queries and keys have changed places.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=llvm | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: gpu.func @keys_attention_grad_0(
// Logarithms and delta of a tile's queries lie beside them, two stages of both.
// CHECK-DAG:     %[[NUMBERS:.*]] = memref.view {{.*}} to memref<2x2x64xf32, #gpu.address_space<workgroup>>
// CHECK:         scf.for
// CHECK:           nvgpu.device_async_wait
// CHECK:           memref.store {{.*}}, %[[NUMBERS]]
// Scores and products of gradients with values, then weights and what changes them.
// CHECK:           nvgpu.mma.sync{{.*}} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
// CHECK:           memref.load %[[NUMBERS]]
// CHECK:           math.fma
// CHECK:           scf.if
// CHECK:           nvvm.ex2 {{.*}} {ftz = true}
// Rows of queries and of gradients of the result are right operands of two more products.
// CHECK:           nvgpu.ldmatrix {{.*}}transpose = true{{.*}} -> vector<4x2xbf16>
// CHECK:           nvgpu.mma.sync
// CHECK-NOT:     memref.atomic_rmw
// CHECK:         vector.store {{.*}} vector<2xbf16>

// LLVM: @llvm.nvvm.mma.m16n8k16.row.col.bf16
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
func.func @keys(%k: tensor<?x8x?x64xbf16>, %v: tensor<?x8x?x64xbf16>, %q: tensor<?x8x?x64xbf16>, %dy: tensor<?x8x?x64xbf16>,
                %lse: tensor<?x8x?xf32>, %delta: tensor<?x8x?xf32>, %scale: f64, %seen: tensor<1x?x2xi32>,
                %dk: tensor<?x8x?x64xbf16> {bufferization.writable = true},
                %dv: tensor<?x8x?x64xbf16> {bufferization.writable = true})
    -> (tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>) {
  %r:2 = "pith.attention_grad"(%k, %v, %q, %dy, %lse, %delta, %scale, %dk, %seen, %dv) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>, tensor<?x8x?xf32>,
       tensor<?x8x?xf32>, f64, tensor<?x8x?x64xbf16>, tensor<1x?x2xi32>, tensor<?x8x?x64xbf16>)
    -> (tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>)
  return %r#0, %r#1 : tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>
}
