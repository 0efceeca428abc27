// RUN: pith-opt --pith-retain-loop-annotations %s | filecheck %s
// RUN: pith-opt --vector-to-llvm %s | filecheck %s --check-prefix=WHOLE

// What a loop asks of LLVM is a property of the branch back. Whole pipelines get it there from an scf.for.

#rolled = #llvm.loop_annotation<unroll = <disable = true>>

// CHECK-LABEL: llvm.func @branches
// CHECK:         llvm.cond_br %{{.*}}, ^bb1, ^bb2 {loop_annotation = #loop_annotation}
// CHECK:         llvm.br ^bb3 {loop_annotation = #loop_annotation}
llvm.func @branches(%c: i1) {
  llvm.br ^bb1
^bb1:
  llvm.cond_br %c, ^bb1, ^bb2 {llvm.loop_annotation = #rolled}
^bb2:
  llvm.br ^bb3 {llvm.loop_annotation = #rolled}
^bb3:
  llvm.return
}

// WHOLE-LABEL: llvm.func @loop
// WHOLE:         llvm.br ^bb1({{.*}}) {loop_annotation = #loop_annotation}
func.func @loop(%n: index, %x: memref<?xf32>, %zero: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) -> f32 {
    %v = memref.load %x[%i] : memref<?xf32>
    %t = arith.addf %s, %v : f32
    scf.yield %t : f32
  } {llvm.loop_annotation = #rolled}
  return %sum : f32
}
