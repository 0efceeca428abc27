// RUN: pith-opt --convert-vector-to-llvm=enable-x86=true --convert-x86-tiles-to-llvm %s | filecheck %s
// RUN: pith-opt --vector-to-llvm --emit=asm %s | filecheck %s --check-prefix=ASM

// Upstream rewrites the ops on tiles; the loop still carries one under its old type, between casts.
// Here it gets LLVM's type, and the code generator keeps the sum in one tile register.

module attributes {pith.isa = "amx"} {
  // CHECK-LABEL: func.func @product
  // CHECK:         %[[zero:.*]] = llvm.call_intrinsic "llvm.x86.tilezero.internal"
  // CHECK:         %[[sum:.*]] = scf.for {{.*}} iter_args(%[[acc:.*]] = %[[zero]]) -> (!llvm.x86_amx)
  // CHECK:           %[[next:.*]] = llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"({{.*}}, %[[acc]],
  // CHECK-NEXT:      scf.yield %[[next]]
  // CHECK:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[sum]])
  // CHECK-NOT:   x86.amx.tile

  // ASM-LABEL: product:
  // ASM:         ldtilecfg
  // ASM:         tilezero [[acc:%tmm[0-7]]]
  // ASM:         tileloadd
  // ASM:         tileloadd
  // ASM-NEXT:    tdpbf16ps {{%tmm[0-7]}}, {{%tmm[0-7]}}, [[acc]]
  // ASM:         tilestored [[acc]]
  func.func @product(%a: memref<?x32xbf16>, %b: memref<?x32xbf16>, %c: memref<16x16xf32>, %n: index) {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %zero = x86.amx.tile_zero : !x86.amx.tile<16x16xf32>
    %sum = scf.for %k = %c0 to %n step %c16 iter_args(%acc = %zero) -> (!x86.amx.tile<16x16xf32>) {
      %x = x86.amx.tile_load %a[%k, %c0] : memref<?x32xbf16> into !x86.amx.tile<16x32xbf16>
      %y = x86.amx.tile_load %b[%k, %c0] : memref<?x32xbf16> into !x86.amx.tile<16x32xbf16>
      %next = x86.amx.tile_mulf %x, %y, %acc
          : !x86.amx.tile<16x32xbf16>, !x86.amx.tile<16x32xbf16>, !x86.amx.tile<16x16xf32>
      scf.yield %next : !x86.amx.tile<16x16xf32>
    }
    x86.amx.tile_store %c[%c0, %c0], %sum : memref<16x16xf32>, !x86.amx.tile<16x16xf32>
    return
  }
}
