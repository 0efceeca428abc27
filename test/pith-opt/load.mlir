// Passes from outside of the tree, and pipelines of them.
// RUN: pith-opt --load %S/Inputs/own_pass.py --own-mark=text=hello %s | filecheck %s
// RUN: pith-opt --load-pass-plugin=%S/Inputs/own_pass.py --pass-pipeline='builtin.module(own-pipeline,cse)' %s | filecheck %s --check-prefix=PIPELINE
// RUN: pith-opt --load %S/Inputs/own_pass.py --list-passes | filecheck %s --check-prefix=LIST
// CHECK:    func.func @f() attributes {hello}
// PIPELINE: func.func @f() attributes {both}
// LIST:     Passes of pith:
// LIST:     own-mark{{ +}}Mark functions.
// LIST:     Pipelines of pith:
// LIST:     own-pipeline{{ +}}own-mark{text=both}

// RUN: not pith-opt --load %S/Inputs/own_pass.py --load %S/Inputs/missing.py %s 2>&1 | filecheck %s --check-prefix=MISSING
// MISSING: pith-opt: error: {{.*}}missing.py: cannot be loaded: FileNotFoundError

// RUN: not pith-opt --load json %s 2>&1 | filecheck %s --check-prefix=NONE
// NONE: pith-opt: error: json: defines no pass

// RUN: not pith-opt --own-mark %s 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN: unknown pass 'own-mark'

// RUN: not pith-opt --load %S/Inputs/own_pass.py --own-failure %s 2>&1 | filecheck %s --check-prefix=FAILURE
// FAILURE:      pith-opt: error: {{.*}}own_pass.py:30: in pass 'own-failure' ValueError: a mistake
// FAILURE-NEXT: hint: PITH_DEBUG=1 shows the traceback
func.func @f() {
  return
}
