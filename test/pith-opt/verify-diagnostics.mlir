// Comments say which diagnostics are expected; anything missing or unexpected fails.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect

func.func @same_line() -> i32 {
  return // expected-error {{has 0 operands}}
}

// -----

func.func @next_line(%a: f32) {
  // expected-error@+1 {{unknown}}
  %0 = arith.no_such_op %a : f32
  return
}

// -----

func.func @below() -> i32 {
  // A line may expect several; they skip to the next line without one.
  // expected-error@below {{op has 0 operands}}
  return
}

// -----

func.func @above() -> i32 {
  return
  // expected-error@above {{op has 0 operands}}
}

// -----

func.func @regular_expression() -> i32 {
  // expected-error-re@+1 {{has {{[0-9]+}} operands, but enclosing function (@{{.*}}) returns 1}}
  return
}

// -----

// expected-note@+1 {{prior use here}}
func.func @notes(%a: f32) -> f32 {
  // expected-error@+1 {{expects different type than prior uses}}
  %0 = arith.addi %a, %a : i32
  return %a : f32
}

// -----

func.func @ok() { return }
