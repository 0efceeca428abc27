// --<pass>[=options] runs passes of both worlds in order of appearance; one dash will do.
// RUN: pith-opt %s --cse --pith-assemble-arguments -canonicalize='max-iterations=3 top-down=false' --dump-pass-pipeline 2>%t | filecheck %s
// RUN: filecheck %s --check-prefix=ORDER < %t
// ORDER: builtin.module(cse,pith-assemble-arguments,canonicalize{max-iterations=3 top-down=false})

// A pass that runs on another op than the module is nested under it.
// RUN: pith-opt %s --convert-gpu-to-nvvm=has-redux=true --dump-pass-pipeline -o /dev/null 2>&1 | filecheck %s --check-prefix=NEST
// NEST: builtin.module(gpu.module(convert-gpu-to-nvvm{has-redux=true}))

// RUN: not pith-opt %s --no-such-pass 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: pipeline:1:16: unknown pass 'no-such-pass'

// RUN: not pith-opt %s --cse --pass-pipeline='builtin.module(cse)' 2>&1 | filecheck %s --check-prefix=BOTH
// BOTH: error: --pass-pipeline and --cse cannot be used together

// CHECK-LABEL: func.func @same
// CHECK-NEXT:    arith.muli
// CHECK-NEXT:    return
func.func @same(%a: i32, %b: i32) -> i32 {
  %0 = arith.muli %a, %b : i32
  %1 = arith.muli %a, %b : i32
  %2 = arith.subi %1, %0 : i32
  %3 = arith.addi %0, %2 : i32
  return %3 : i32
}
