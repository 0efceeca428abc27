// 2:4 weights on Hopper's sparse warpgroups. The nvvm dialect has no op for them: the instruction is assembly.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90a},canonicalize,cse)' | filecheck %s
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments,convert-pith-to-gpu{target=sm_90a},canonicalize,cse,gpu-to-nvvm)' --emit=ptx | filecheck %s --check-prefix=PTX

#venom = #pith.format<affine_map<(d0, d1) -> (d0 floordiv 64, d1 floordiv 32, (d1 floordiv 4) mod 8, d0 mod 64, d1 mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 8>, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>

// A linear layer x W^T: the rhs is the 2:4 operand, so 64 of its rows are those of the instruction.
// CHECK-LABEL: gpu.func @linear_matmul_0(
// CHECK: scf.for
// A word of coordinates serves two instructions, of 32 elements of x each.
// CHECK: vector.from_elements {{.*}} : vector<2xi16>
// CHECK: nvvm.wgmma.fence.aligned
// CHECK: llvm.inline_asm has_side_effects "{{.*}}wgmma.mma_async.sp.sync.aligned.m64n{{[0-9]+}}k32.f32.f16.f16 {{.*}}, 0, p, 1, 1, 0, 0;
// CHECK: llvm.inline_asm has_side_effects "{{.*}}wgmma.mma_async.sp.sync.aligned.m64n{{[0-9]+}}k32.f32.f16.f16 {{.*}}, 1, p, 1, 1, 0, 0;
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: nvvm.wgmma.wait.group.sync.aligned 0
// CHECK: nvvm.fence.proxy

// PTX: .version 8.2
// PTX: .target sm_90a
// PTX: .entry linear_matmul_0
// PTX: wgmma.mma_async.sp.sync.aligned.m64n{{[0-9]+}}k32.f32.f16.f16
func.func @linear(%x: tensor<1024x1024xf16>, %w: tensor<1024x1024xf16, #venom>) -> tensor<1024x1024xf16> {
  %zero = arith.constant 0.0 : f16
  %empty = tensor.empty() : tensor<1024x1024xf16>
  %init = linalg.fill ins(%zero : f16) outs(%empty : tensor<1024x1024xf16>) -> tensor<1024x1024xf16>
  %y = linalg.matmul indexing_maps = [affine_map<(b, o, i) -> (b, i)>, affine_map<(b, o, i) -> (o, i)>, affine_map<(b, o, i) -> (b, o)>]
    ins(%x, %w : tensor<1024x1024xf16>, tensor<1024x1024xf16, #venom>) outs(%init : tensor<1024x1024xf16>) -> tensor<1024x1024xf16>
  return %y : tensor<1024x1024xf16>
}
