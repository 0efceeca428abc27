// Errors name the place, exit with status 1 and show no traceback.
// RUN: not pith-opt %s 2>&1 | filecheck %s
// RUN: cat %s | not pith-opt 2>&1 | filecheck %s --check-prefix=STDIN
// CHECK-NOT:  Traceback
// CHECK:      errors.mlir:38:8: error: {{.*}}arith.nonsense
// CHECK-NEXT: {{^}}  %0 = arith.nonsense %a : i32
// CHECK-NEXT: {{^}}       ^
// STDIN:      <stdin>:38:8: error:

// RUN: not pith-opt %t.does-not-exist 2>&1 | filecheck %s --check-prefix=MISSING
// MISSING: pith-opt: error: No such file or directory: {{.*}}does-not-exist

// RUN: echo 'module {}' | not pith-opt -o %t.no-dir/out.mlir 2>&1 | filecheck %s --check-prefix=UNWRITABLE
// UNWRITABLE: pith-opt: error: No such file or directory: {{.*}}out.mlir

// RUN: not pith-opt --version > /dev/full 2>%t.full
// RUN: filecheck %s --check-prefix=FULL < %t.full
// FULL: pith-opt: error: No space left on device

// RUN: not pith-opt --emit=cake %s 2>&1 | filecheck %s --check-prefix=CHOICE
// CHOICE: pith-opt: error: argument --emit: invalid choice: 'cake'

// RUN: not pith-opt --verify-each=maybe %s 2>&1 | filecheck %s --check-prefix=SWITCH
// SWITCH: pith-opt: error: argument --verify-each: expected 0 or 1, got 'maybe'

// A malformed pith type is found wherever it occurs, also where no pith op is near.
// RUN: echo '#f = #pith.format<affine_map<(d0) -> (d0)>, [#pith.level<"nonsense">], 0, 0, 0> func.func private @g(tensor<4xf32, #f>)' | not pith-opt 2>&1 | filecheck %s --check-prefix=TYPE
// TYPE: <stdin>:1:{{[0-9]+}}: error: 'func.func' op expects a legal pith type or attribute

// A failing pass says where.
// RUN: echo 'func.func @f(%%t: tensor<2xf32>) { "x.y"(%%t) : (tensor<2xf32>) -> () return }' | not pith-opt --allow-unregistered-dialect --one-shot-bufferize 2>&1 | filecheck %s --check-prefix=PASS
// PASS: <stdin>:1:35: error: op was not bufferized

// RUN: printf 'module {}\n\377' | not pith-opt 2>&1 | filecheck %s --check-prefix=UTF8
// UTF8: pith-opt: error: <stdin>:2: not UTF-8 text (byte 0xff)

func.func @f(%a: i32) -> i32 {
  %0 = arith.nonsense %a : i32
  return %0 : i32
}
