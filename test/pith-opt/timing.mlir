// --mlir-timing prints a table like upstream's, one row per pass, to stderr.
// RUN: pith-opt %s --pith-assemble-arguments --cse --mlir-timing -o /dev/null 2>&1 | filecheck %s

// CHECK: Execution time report
// CHECK: Total Execution Time: {{[0-9.]+}} seconds
// CHECK: ----Wall Time----  ----Name----
// CHECK: ({{.*}}%)  Parser
// CHECK: ({{.*}}%)  Pipeline
// CHECK: ({{.*}}%)  pith-assemble-arguments
// CHECK: ({{.*}}%)  cse
// CHECK: ({{.*}}%)  Output
// CHECK: (100.0%)  Total
func.func @f() { return }
