// Flags that print something and exit.
// RUN: pith-opt --version | filecheck %s --check-prefix=VERSION
// VERSION: pith-opt {{[0-9.]+}} (torch-mlir {{[0-9]+}})

// RUN: pith-opt --list-passes | filecheck %s --check-prefix=PASSES
// PASSES: Passes of pith:
// PASSES: pith-assemble-arguments{{ +}}Replace encoded arguments
// PASSES: Pipelines of pith:
// PASSES: Passes and pipelines of MLIR:
// PASSES: canonicalize{{ +}}Canonicalize operations
// PASSES: sparsifier

// A reader that stops early is no error to speak of.
// RUN: pith-opt --list-passes 2>%t.err | head -n 1 ; filecheck %s --check-prefix=PIPE --allow-empty < %t.err
// PIPE-NOT: {{.}}

// RUN: pith-opt --show-dialects | filecheck %s --check-prefix=DIALECTS
// DIALECTS: Available Dialects: {{.*}}arith, {{.*}}, pith, {{.*}}sparse_tensor

// The IRDL form loads in upstream's tools.
// RUN: pith-opt --dump-irdl > %t.irdl.mlir && filecheck %s --check-prefix=IRDL < %t.irdl.mlir
// RUN: echo "module {}" | %torch-mlir-opt --irdl-file=%t.irdl.mlir
// IRDL: irdl.dialect @pith

// RUN: pith-opt --help | filecheck %s --check-prefix=HELP
// HELP: usage: pith-opt
// HELP: --split-input-file
// HELP: --pass-pipeline
// HELP: --mlir-print-ir-after-all
// HELP: --list-passes

// Beside passes, --help is about them.
// RUN: pith-opt --pith-select-tiles --cse -pith-inline-calls --help | filecheck %s --check-prefix=PASS
// PASS: pith-select-tiles: Choose by predicted cost
// PASS: options:
// PASS-NEXT: target={{ +}}a string (default cpu)
// PASS: block={{ +}}a comma-separated list (an integer each) (default none)
// PASS: usage: pith-opt --pith-select-tiles=target=... FILE.mlir
// PASS: cse: Eliminate common sub-expressions
// PASS: pith-inline-calls:
// PASS: options: none
// RUN: pith-opt --vector-to-llvm -h | filecheck %s --check-prefix=PIPELINE
// PIPELINE: vector-to-llvm: a pipeline of pith
// RUN: not pith-opt --csee --help 2>&1 | filecheck %s --check-prefix=NOPASS
// NOPASS: unknown pass 'csee'
// NOPASS-NEXT: hint: did you mean 'cse'?
