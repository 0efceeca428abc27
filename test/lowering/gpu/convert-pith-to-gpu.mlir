// An HSS matmul, C1(3:4)->C0(2:4), f32: groups are expanded into shared memory, then the dense body runs.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_80},canonicalize,cse,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefixes=PTX,SM80
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-nvvm)' --emit=ptx | filecheck %s --check-prefixes=PTX,SM90

#hss = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 0>

// Storage order: packed 2-bit coordinates of both ranks, values; then the dense operand and the result.
// CHECK-LABEL: gpu.func @hss_matmul_0(
// CHECK-SAME: %[[CRD1:.*]]: memref<{{.*}}xi8>, %[[CRD0:.*]]: memref<{{.*}}xi8>, %[[VALUES:.*]]: memref<{{.*}}xf32>, %[[B:.*]]: memref<48x?xf32>, %[[C:.*]]: memref<33x?xf32>) kernel
// The k loop, tiles filled two steps ahead: clear, barrier, scatter what is stored, copy B, multiply, wait.
// CHECK: scf.for {{.*}} iter_args
// CHECK: gpu.barrier
// CHECK: vector.store {{.*}}#gpu.address_space<workgroup>>
// CHECK: gpu.barrier
// CHECK: %[[OUTER:.*]] = memref.load %[[CRD1]]
// CHECK: arith.shrui
// CHECK: arith.andi
// CHECK: memref.load %[[CRD0]]
// CHECK: scf.if
// CHECK: memref.load %[[VALUES]]
// CHECK: memref.store {{.*}}#gpu.address_space<workgroup>>
// CHECK: nvgpu.device_async_copy %[[B]]
// CHECK: nvgpu.device_async_create_group
// CHECK: math.fma
// CHECK: nvgpu.device_async_wait
// The result starts from zeros that nobody stores or reads.
// CHECK-NOT: vector.load %[[C]]
// CHECK: vector.store {{.*}}, %[[C]]

// CHECK-LABEL: func.func @hss(
// CHECK-SAME: {pith.storage = "0.coordinates[2]"}
// CHECK-SAME: {pith.storage = "0.coordinates[3]"}
// CHECK-SAME: {pith.storage = "0.values"}
// CHECK-SAME: {pith.storage = "1.values"}
// CHECK-SAME: -> memref<33x?xf32>
// CHECK: %[[OUT:.*]] = memref.alloc(
// CHECK-NOT: fill
// CHECK: gpu.launch_func @hss_kernels::@hss_matmul_0
// CHECK: return %[[OUT]]

// SM80: .target sm_80
// SM90: .target sm_90
// PTX-DAG: .visible .entry hss_matmul_0
// PTX-DAG: fma.rn.f32
func.func @hss(%a: tensor<33x48xf32, #hss>, %b: tensor<48x?xf32>) -> tensor<33x?xf32> {
  %d = arith.constant 1 : index
  %n = tensor.dim %b, %d : tensor<48x?xf32>
  %e = tensor.empty(%n) : tensor<33x?xf32>
  %z = arith.constant 0.0 : f32
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<33x?xf32>) -> tensor<33x?xf32>
  %r = linalg.matmul ins(%a, %b : tensor<33x48xf32, #hss>, tensor<48x?xf32>) outs(%i : tensor<33x?xf32>) -> tensor<33x?xf32>
  return %r : tensor<33x?xf32>
}
