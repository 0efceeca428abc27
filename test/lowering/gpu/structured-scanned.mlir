// Load sparse, compute dense: tiles are cleared, then filled from bitmaps, or from lists that an op wants on tiles.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90},canonicalize,cse)' --split-input-file | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' --split-input-file | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' --emit=ptx --split-input-file | filecheck %s --check-prefix=PTX

#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 32, 32, 0>

// CHECK-LABEL: gpu.func @bitmap_matmul_0(
// CHECK-SAME: %[[POS:arg[0-9]+]]: memref<{{.*}}xi32>, %[[BITS:arg[0-9]+]]: memref<{{.*}}xi8>, %[[A:arg[0-9]+]]: memref<{{.*}}xf16>
// A thread remembers how many entries of its row it has passed.
// CHECK: %[[RANK:.*]] = memref.alloca() : memref<1xindex>
// CHECK: scf.for
// The tile is zero before anything is put there.
// CHECK: vector.store {{.*}} : memref<{{.*}}#gpu.address_space<workgroup>>, vector<8xf16>
// CHECK: gpu.barrier
// CHECK: memref.load %[[RANK]]
// CHECK: memref.load %[[BITS]]
// CHECK: math.ctpop
// CHECK: memref.load %[[A]]
// CHECK: memref.store {{.*}} #gpu.address_space<workgroup>>
// CHECK: memref.store {{.*}}, %[[RANK]][
// CHECK: nvgpu.mma.sync
// NVVM: llvm.intr.ctpop
// NVVM: nvvm.mma.sync
// PTX-LABEL: .entry bitmap_matmul_0(
// PTX: popc.b32
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
func.func @bitmap(%a: tensor<64x512xf16, #bits>, %b: tensor<512x16xf16>, %c: tensor<64x16xf32>) -> tensor<64x16xf32> {
  %r = linalg.matmul ins(%a, %b : tensor<64x512xf16, #bits>, tensor<512x16xf16>) outs(%c : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %r : tensor<64x16xf32>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// CHECK-LABEL: gpu.func @list_matmul_0(
// CHECK-SAME: %{{.*}}: memref<{{.*}}xi32>, %[[CRD:arg[0-9]+]]: memref<{{.*}}xi32>, %[[A:arg[0-9]+]]: memref<{{.*}}xf16>
// CHECK: %[[AT:.*]] = memref.alloca() : memref<1xindex>
// CHECK: gpu.barrier
// Each thread goes on from where it stopped, up to the first entry behind the tile.
// CHECK: memref.load %[[AT]]
// CHECK: scf.while
// CHECK: memref.load %[[CRD]]
// CHECK: scf.condition
// CHECK: memref.load %[[A]]
// CHECK: memref.store {{.*}}, %[[AT]][
// CHECK: nvgpu.mma.sync
// NVVM: nvvm.mma.sync
// PTX-LABEL: .entry list_matmul_0(
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
func.func @list(%a: tensor<64x512xf16, #csr>, %b: tensor<512x16xf16>, %c: tensor<64x16xf32>) -> tensor<64x16xf32> {
  %r = linalg.matmul {pith.expand} ins(%a, %b : tensor<64x512xf16, #csr>, tensor<512x16xf16>) outs(%c : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %r : tensor<64x16xf32>
}
