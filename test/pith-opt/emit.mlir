// --emit prints what the module was lowered to: LLVM IR or assembly (PTX: see test/lowering/gpu).
// RUN: pith-opt %s --convert-to-llvm --emit=llvm | filecheck %s --check-prefix=LLVM
// RUN: pith-opt %s --convert-to-llvm --emit=asm | filecheck %s --check-prefix=ASM
// LLVM: define i32 @add(i32 %0, i32 %1)
// LLVM: add i32
// ASM:  add:
// ASM:  ret

// A module that is not lowered far enough is named, with the way on.
// RUN: not pith-opt %s --emit=llvm 2>&1 | filecheck %s --check-prefix=EARLY
// EARLY:      emit.mlir:14:1: error: cannot be translated to LLVM IR: holds a 'func.func' op
// EARLY-NEXT: func.func @add
// EARLY:      hint: lower it first: --pith-to-llvm for a CPU
func.func @add(%a: i32, %b: i32) -> i32 {
  %0 = arith.addi %a, %b : i32
  return %0 : i32
}
