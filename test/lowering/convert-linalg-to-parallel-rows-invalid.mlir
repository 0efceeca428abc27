// RUN: pith-opt --split-input-file --verify-diagnostics --convert-linalg-to-parallel-rows %s

// Named ops are refused: linalg-generalize-named-ops comes before this pass.

func.func @named(%y: memref<8xf32>) {
  %z = arith.constant 0.0 : f32
  // expected-error@+1 {{is not a linalg.generic}}
  linalg.fill ins(%z : f32) outs(%y : memref<8xf32>)
  return
}
