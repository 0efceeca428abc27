// Weights on sparse tensor cores: 2 of 4 elements of 2 of 8 groups that 64 rows share (VENOM's V:N:M), and plain 2:4.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90},canonicalize,cse)' --split-input-file | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90},canonicalize,cse,gpu-to-nvvm)' --split-input-file | filecheck %s --check-prefix=NVVM
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-to-gpu,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

#venom = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 64, d1 floordiv 32, (d1 floordiv 4) mod 8, d0 mod 64, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 8>, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// A linear layer x W^T. The rhs is the 2:4 operand, so the tile is computed transposed.
// CHECK-LABEL: gpu.func @linear_matmul_0(
// CHECK-SAME: %[[X:.*]]: memref<128x1024xf16>, %[[GROUPS:arg[0-9]+]]: memref<{{.*}}xi8>, %[[PAIRS:arg[0-9]+]]: memref<{{.*}}xi8>, %[[W:arg[0-9]+]]: memref<{{.*}}xf16>, %[[Y:.*]]: memref<128x256xf16>) kernel
// The groups that the rows of the block hold are the list of k: unpacked, and staged in shared memory.
// CHECK: memref.load %[[GROUPS]]
// CHECK: arith.andi
// CHECK: memref.store {{.*}} #gpu.address_space<workgroup>>
// CHECK: gpu.barrier
// A group of two rows is read at once: four values, and a byte of coordinates.
// CHECK: vector.load %[[W]]{{.*}} {alignment = 8 : i64} : {{.*}}, vector<4xf16>
// CHECK: memref.load %[[PAIRS]]
// x is gathered, 4 elements at a time: one coordinate of the list each.
// CHECK: nvgpu.device_async_copy %[[X]]{{.*}}, 4, {{.*}} : memref<128x1024xf16>
// One step is 64 elements of x. A word of coordinates serves two instructions.
// CHECK: scf.for
// CHECK: vector.from_elements {{.*}} : vector<2xi16>
// CHECK: nvgpu.ldmatrix
// CHECK: nvgpu.mma.sp.sync({{.*}}) metadata(%{{.*}}) {mmaShape = [16, 8, 32]}
// CHECK: nvgpu.mma.sp.sync({{.*}}) metadata(%{{.*}}) {mmaShape = [16, 8, 32], sparsitySelector = 1 : i32}
// CHECK: gpu.launch_func{{.*}}pith.note = "tile {{.*}}; rhs packed: nm(2:4) is at most 2 of 4, for sparse tensor cores, 64 rows share a stream along k"

// NVVM: llvm.inline_asm has_side_effects asm_dialect = att "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {{.*}},0x0;"
// PTX: .entry linear_matmul_0
// PTX: cp.async.ca.shared.global [{{.*}}], [{{.*}}], 8
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX: mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {{.*}},0x1;
func.func @linear(%x: tensor<128x1024xf16>, %w: tensor<256x1024xf16, #venom>) -> tensor<128x256xf16> {
  %zero = arith.constant 0.0 : f16
  %empty = tensor.empty() : tensor<128x256xf16>
  %init = linalg.fill ins(%zero : f16) outs(%empty : tensor<128x256xf16>) -> tensor<128x256xf16>
  %y = linalg.matmul indexing_maps = [affine_map<(b, o, i) -> (b, i)>, affine_map<(b, o, i) -> (o, i)>, affine_map<(b, o, i) -> (b, o)>]
    ins(%x, %w : tensor<128x1024xf16>, tensor<256x1024xf16, #venom>) outs(%init : tensor<128x256xf16>) -> tensor<128x256xf16>
  return %y : tensor<128x256xf16>
}

// -----

#pairs = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// Rows of plain 2:4 are stored as the hardware wants them: values and coordinates are copied.
// CHECK-LABEL: gpu.func @product_matmul_0(
// CHECK-SAME: %[[C:arg[0-9]+]]: memref<{{.*}}xi8>, %[[A:arg[0-9]+]]: memref<{{.*}}xf16>
// CHECK: nvgpu.device_async_copy %[[A]]{{.*}}, 8 {bypassL1} : memref<{{.*}}xf16>
// CHECK: nvgpu.device_async_copy %[[C]]{{.*}}, 8 : memref<{{.*}}xi8>
// CHECK: scf.for
// CHECK-NOT: vector.store
// CHECK: nvgpu.mma.sp.sync
func.func @product(%a: tensor<64x512xf16, #pairs>, %b: tensor<512x64xf16>) -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64x64xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<64x64xf32>) -> tensor<64x64xf32>
  %c = linalg.matmul ins(%a, %b : tensor<64x512xf16, #pairs>, tensor<512x64xf16>) outs(%init : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %c : tensor<64x64xf32>
}
