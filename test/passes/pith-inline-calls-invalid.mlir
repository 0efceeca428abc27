// RUN: pith-opt --pith-inline-calls --split-input-file --verify-diagnostics %s

// What cannot be inlined: recursion, and functions of several blocks.

func.func private @again(%x: f32) -> f32 {
  // expected-error @below {{'func.call' op cannot be inlined: @again leads back to itself}}
  %y = func.call @again(%x) : (f32) -> f32
  return %y : f32
}
func.func @h(%x: f32) -> f32 {
  %y = func.call @again(%x) : (f32) -> f32
  return %y : f32
}

// -----

func.func private @jumps(%x: f32) -> f32 {
  cf.br ^end
^end:
  return %x : f32
}
func.func @i(%x: f32) -> f32 {
  // expected-error @below {{'func.call' op cannot be inlined: @jumps has several blocks}}
  %y = func.call @jumps(%x) : (f32) -> f32
  return %y : f32
}
