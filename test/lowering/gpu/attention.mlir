// pith.attention in f16: intervals alone are one kernel; a pattern and global tokens have their keys listed first, and a
// kernel for the queries that are tokens.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu)' -o %t.gpu.mlir
// RUN: filecheck %s < %t.gpu.mlir
// RUN: pith-opt %t.gpu.mlir --pass-pipeline='builtin.module(gpu-to-nvvm)' -o %t.nvvm.mlir
// RUN: filecheck %s --check-prefix=NVVM < %t.nvvm.mlir
// RUN: pith-opt %t.nvvm.mlir --emit=llvm | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %t.nvvm.mlir --emit=ptx | filecheck %s --check-prefixes=PTX,SM90
// RUN: pith-opt %t.nvvm.mlir --pith-gpu-module-to-binary=chip=sm_80 --emit=ptx | filecheck %s --check-prefixes=PTX,SM80

// CHECK-LABEL: gpu.func @two_attention_0(
// CHECK-SAME:    %[[Q:[^:]*]]: memref<?x8x?x64xf16>, %[[K:[^:]*]]: memref<?x2x?x64xf16>, %[[V:[^:]*]]: memref<?x2x?x64xf16>, %[[OUT:[^:]*]]: memref<?x8x?x64xf16>, %[[SEEN:[^:]*]]: memref<1x?x2xi32>) kernel
// CHECK-SAME:    known_block_size = array<i32: 128, 1, 1>
// A warp owns 32 queries. Two stages of 64 keys and values follow the queries in shared memory.
// CHECK-DAG:     %[[QS:.*]] = memref.view {{.*}} to memref<1x128x64xf16, #gpu.address_space<workgroup>>
// CHECK-DAG:     memref.view {{.*}} to memref<2x64x64xf16, #gpu.address_space<workgroup>>
// What each query sees, and the hull of that over lanes and warps.
// CHECK:         memref.load %[[SEEN]]
// CHECK:         arith.subi
// CHECK:         gpu.shuffle xor
// CHECK:         gpu.barrier
// Queries, then the first keys and values; rows past the end are zeros. Four heads read one head of keys.
// CHECK:         nvgpu.device_async_copy %[[Q]]{{.*}}, %[[QS]]{{.*}}, 8, %{{.*}} {bypassL1} : memref<?x8x?x64xf16> to memref<1x128x64xf16
// CHECK:         nvgpu.device_async_copy %[[K]]
// CHECK:         nvgpu.device_async_copy %[[V]]
// CHECK:         nvgpu.device_async_create_group
// One barrier per tile of keys: its copies have landed, and the other stage is free for the next ones.
// CHECK:         scf.for
// CHECK:           nvgpu.device_async_wait {{.*}} {numGroups = 0 : i32}
// CHECK-NEXT:      gpu.barrier
// CHECK:           nvgpu.device_async_copy %[[K]]
// CHECK:           nvgpu.ldmatrix {{.*}}transpose = false{{.*}} -> vector<4x2xf16>
// CHECK:           nvgpu.mma.sync{{.*}}mmaShape = [16, 8, 16]{{.*}} -> vector<2x2xf32>
// Only warps at an edge of what their queries see compare keys, and look for values that are not finite.
// CHECK:           %{{.*}}:65 = scf.if
// CHECK:             arith.cmpi ult
// CHECK:             arith.select
// CHECK:             gpu.ballot
// CHECK:           arith.maximumf
// CHECK:           gpu.shuffle xor
// CHECK:           nvvm.ex2
// Weights become the left operand of the second product in registers.
// CHECK:           arith.truncf %{{.*}} : f32 to f16
// CHECK:           vector.from_elements {{.*}} : vector<4x2xf16>
// CHECK:           nvgpu.ldmatrix {{.*}}transpose = true{{.*}} -> vector<4x2xf16>
// CHECK:           nvgpu.mma.sync
// CHECK:         arith.divf
// CHECK:         vector.store {{.*}}, %[[OUT]]{{.*}} {alignment = 4 : i64} : memref<?x8x?x64xf16>, vector<2xf16>

// A list per tile of queries: the blocks of its row in view, in the order of the pattern, then tokens in reach.
// CHECK-LABEL: gpu.func @two_attention_keys_1(
// CHECK-SAME:    %[[PATTERN:[^:]*]]: memref<?xi32>, %[[TOKENS:[^:]*]]: memref<1x?xi32>, %{{[^:]*}}: memref<1x?x2xi32>, %[[LISTS:[^:]*]]: memref<1x?x?xi32>) kernel
// CHECK:         memref.load %[[PATTERN]]
// CHECK:         gpu.ballot
// CHECK:         math.ctpop
// CHECK:         gpu.barrier
// CHECK:         memref.store {{.*}}, %[[LISTS]]
// CHECK:         memref.load %[[TOKENS]]
// CHECK:         memref.store {{.*}}, %[[LISTS]]

// Blocks of 64 queries make tiles of 64: 16 to a warp.
// CHECK-LABEL: gpu.func @two_attention_2(
// CHECK-SAME:    %[[LSE:[^:]*]]: memref<?x8x?xf32>, {{.*}}, %[[LISTS:[^:]*]]: memref<1x?x?xi32>) kernel
// CHECK:         memref.load %[[LISTS]]
// CHECK:         nvgpu.device_async_copy
// CHECK:         nvvm.log2
// CHECK:         memref.store {{.*}}, %[[LSE]]

// CHECK-LABEL: gpu.func @two_attention_tokens_3(

// Tiles of queries, heads, batch; lists do not depend on heads.
// CHECK-LABEL: func.func @two(
// CHECK:         %[[TILES:.*]] = arith.ceildivui %{{.*}}, %c128
// CHECK:         gpu.launch_func @two_kernels::@two_attention_0 blocks in (%[[TILES]], %c8, %{{.*}}) threads in (%c128, %c1, %c1) dynamic_shared_memory_size
// CHECK:         memref.alloc({{.*}}) : memref<1x?x?xi32>
// CHECK:         gpu.launch_func @two_kernels::@two_attention_keys_1
// CHECK:         gpu.launch_func @two_kernels::@two_attention_2
// CHECK:         gpu.launch_func @two_kernels::@two_attention_tokens_3

// NVVM: nvvm.cp.async.shared.global
// NVVM: nvvm.cp.async.wait.group 0
// NVVM: nvvm.ldmatrix
// NVVM: nvvm.mma.sync
// NVVM: nvvm.shfl.sync bfly
// NVVM: nvvm.ex2

// LLVM: @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16
// LLVM: @llvm.nvvm.mma.m16n8k16.row.col.f32.f32

// SM80: .target sm_80
// SM90: .target sm_90
// PTX: .visible .entry two_attention_0(
// PTX: cp.async.cg.shared.global
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// PTX: ex2.approx.ftz.f32
// PTX: cvt.rn.f16x2.f32
// PTX: st.global.b32
func.func @two(%q: tensor<?x8x?x64xf16>, %k: tensor<?x2x?x64xf16>, %v: tensor<?x2x?x64xf16>, %seen: tensor<1x?x2xi32>,
               %p: !pith.pattern<[-1, -1], [64, 64]>, %t: tensor<1x?xi32>,
               %out: tensor<?x8x?x64xf16> {bufferization.writable = true},
               %out2: tensor<?x8x?x64xf16> {bufferization.writable = true},
               %lse: tensor<?x8x?xf32> {bufferization.writable = true})
    -> (tensor<?x8x?x64xf16>, tensor<?x8x?x64xf16>, tensor<?x8x?xf32>) {
  %scale = arith.constant 0.125 : f64
  %y = "pith.attention"(%q, %k, %v, %scale, %out, %seen) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<?x8x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, f64, tensor<?x8x?x64xf16>, tensor<1x?x2xi32>)
    -> tensor<?x8x?x64xf16>
  %z:2 = "pith.attention"(%q, %k, %v, %scale, %out2, %seen, %lse, %p, %t, %seen) {
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<?x8x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, f64, tensor<?x8x?x64xf16>, tensor<1x?x2xi32>,
       tensor<?x8x?xf32>, !pith.pattern<[-1, -1], [64, 64]>, tensor<1x?xi32>, tensor<1x?x2xi32>)
    -> (tensor<?x8x?x64xf16>, tensor<?x8x?xf32>)
  return %y, %z#0, %z#1 : tensor<?x8x?x64xf16>, tensor<?x8x?x64xf16>, tensor<?x8x?xf32>
}
