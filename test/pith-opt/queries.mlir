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
