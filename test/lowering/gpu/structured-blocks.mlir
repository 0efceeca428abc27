// A weight of 32 x 32 blocks, BSR: whole blocks are copied, k runs over those that are there, B is gathered by their list.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90},canonicalize,cse)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

#bsr = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 32, d1 floordiv 32, d0 mod 32, d1 mod 32)>,
  [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">, #pith.level<"dense">], 32, 32, 0>

// CHECK-LABEL: gpu.func @product_matmul_0(
// CHECK-SAME: %[[POS:arg[0-9]+]]: memref<{{.*}}xi32>, %[[CRD:arg[0-9]+]]: memref<{{.*}}xi32>, %[[A:arg[0-9]+]]: memref<{{.*}}xf16>, %[[B:.*]]: memref<512x64xf16>, %{{.*}}: memref<96x64xf32>) kernel
// The list of this row of blocks, and how many steps it makes.
// CHECK: %[[FIRST:.*]] = memref.load %[[POS]]
// CHECK: memref.load %[[POS]]
// CHECK: arith.subi
// CHECK: arith.ceildivui
// Its coordinates are staged as they are, values are copied without a look at coordinates.
// CHECK: nvgpu.device_async_copy %[[CRD]]{{.*}}, 1,
// CHECK-DAG: nvgpu.device_async_copy %[[A]]{{.*}}, 8,
// CHECK-DAG: nvgpu.device_async_copy %[[B]]{{.*}}, 8,
// CHECK: scf.for
// CHECK-NOT: vector.store
// CHECK: nvgpu.mma.sync
// CHECK: gpu.launch_func{{.*}}lhs copied: every element below an entry is stored, 32 rows share a stream along k

// NVVM: nvvm.cp.async.shared.global {{.*}}, 16, cache = cg
// NVVM: nvvm.mma.sync
// PTX: .entry product_matmul_0
// PTX: cp.async.cg.shared.global
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
func.func @product(%a: tensor<96x512xf16, #bsr>, %b: tensor<512x64xf16>) -> tensor<96x64xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<96x64xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<96x64xf32>) -> tensor<96x64xf32>
  %c = linalg.matmul ins(%a, %b : tensor<96x512xf16, #bsr>, tensor<512x64xf16>) outs(%init : tensor<96x64xf32>) -> tensor<96x64xf32>
  return %c : tensor<96x64xf32>
}
