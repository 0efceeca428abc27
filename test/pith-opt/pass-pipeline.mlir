// A textual pipeline mixes pith's passes, upstream's, nesting, options and named pipelines.
// RUN: pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments, func.func(canonicalize{top-down=false},cse))' | filecheck %s

// --dump-pass-pipeline shows what will run, as text that can be given back.
// RUN: pith-opt %s --dump-pass-pipeline --pass-pipeline='builtin.module( cse, func.func(canonicalize{ top-down=false }) )' -o /dev/null 2>&1 | filecheck %s --check-prefix=DUMP
// DUMP: builtin.module(cse,func.func(canonicalize{top-down=false}))

// Named pipelines expand in place.
// RUN: echo 'module {}' | pith-opt --dump-pass-pipeline --pass-pipeline='builtin.module(pith-to-gpu)' -o /dev/null 2>&1 | filecheck %s --check-prefix=NAMED
// NAMED: builtin.module(pith-inline-calls,pith-form-pit-tiles,{{.*}}pith-assemble-arguments,cse,convert-pith-to-gpu{{.*}})

// What is wrong is shown with a caret, and nothing runs.
// RUN: not pith-opt %s --pass-pipeline='builtin.module(cse,canonicalise)' 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN:      pith-opt: error: pipeline:1:20: unknown pass 'canonicalise'
// UNKNOWN-NEXT:   builtin.module(cse,canonicalise)
// UNKNOWN-NEXT: {{^}}                     ^
// UNKNOWN-NEXT:   hint: did you mean 'canonicalize'?

// RUN: not pith-opt %s --pass-pipeline='builtin.module(pith-assemble-arguments{bogus=1})' 2>&1 | filecheck %s --check-prefix=OPTION
// OPTION:      error: pipeline:1:40: pass 'pith-assemble-arguments' has no option 'bogus'

// RUN: not pith-opt %s --pass-pipeline='builtin.module(canonicalize{bogus=1})' 2>&1 | filecheck %s --check-prefix=UPSTREAM-OPTION
// UPSTREAM-OPTION: error: pipeline:1:29: pass 'canonicalize' has no option 'bogus'
// UPSTREAM-OPTION: hint: its options are: {{.*}}max-iterations=10

// RUN: not pith-opt %s --pass-pipeline='builtin.module(func.func(pith-assemble-arguments))' 2>&1 | filecheck %s --check-prefix=NESTED
// NESTED: error: pipeline:1:26: pith's pass 'pith-assemble-arguments' cannot be nested under 'func.func': it runs on builtin.module
// NESTED: hint: move it out: builtin.module(pith-assemble-arguments)

// RUN: not pith-opt %s --pass-pipeline='builtin.module(cse' 2>&1 | filecheck %s --check-prefix=OPEN
// OPEN: error: pipeline:1:15: '(' is never closed

// CHECK-LABEL: func.func @twice
// CHECK:         %[[SUM:.*]] = arith.addi
// CHECK-NEXT:    return %[[SUM]], %[[SUM]]
func.func @twice(%a: i32, %b: i32) -> (i32, i32) {
  %0 = arith.addi %a, %b : i32
  %1 = arith.addi %a, %b : i32
  return %0, %1 : i32, i32
}
