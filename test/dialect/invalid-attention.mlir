// Every verifier message of pith.attention and pith.attention_grad.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

#csr = #pith.format<affine_map<(a, b, c, d) -> (a, b, c, d)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%q: tensor<1x4x8x16xf32, #csr>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects query without an encoding, got tensor<1x4x8x16xf32,}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32, #csr>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects query of rank 4, got tensor<4x8x16xf32>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xi32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects elements of f16, bf16, f32 or f64, got i32}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xi32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x?xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects a static size of dimension 3 of query}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x?xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x?xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects a static size of dimension 3 of value}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x?xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf64>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects one element type, got f64 for key}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf64>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x17xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects size 16 in dimension 3 of key, got 17}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x17xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x8x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects size 9 in dimension 2 of value, got 8}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x8x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x16xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects size 5 in dimension 3 of out, got 16}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x3x9x16xf32>, %v: tensor<1x3x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects heads of query to be a multiple of those of key, got 4 and 3}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x3x9x16xf32>, tensor<1x3x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects the result type of out, tensor<1x4x8x5xf32>, got tensor<1x4x?x5xf32>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x?x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects both lse and its result, or neither}}
  %y:2 = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>, tensor<1x4x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %l: tensor<1x4x8xf64>) {
  // expected-error @below {{'pith.attention' op expects lse of f32, got f64}}
  %y:2 = "pith.attention"(%q, %k, %v, %x, %o, %s, %l) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<1x4x8xf64>) -> (tensor<1x4x8x5xf32>, tensor<1x4x8xf64>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %l: tensor<1x4x7xf32>) {
  // expected-error @below {{'pith.attention' op expects size 8 in dimension 2 of lse, got 7}}
  %y:2 = "pith.attention"(%q, %k, %v, %x, %o, %s, %l) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<1x4x7xf32>) -> (tensor<1x4x8x5xf32>, tensor<1x4x7xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %l: tensor<1x4x8xf32>) {
  // expected-error @below {{'pith.attention' op expects the result type of lse, tensor<1x4x8xf32>, got tensor<1x4x?xf32>}}
  %y:2 = "pith.attention"(%q, %k, %v, %x, %o, %s, %l) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<1x4x8xf32>) -> (tensor<1x4x8x5xf32>, tensor<1x4x?xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi64>) {
  // expected-error @below {{'pith.attention' op expects intervals of shape ?x8x2 and i32, got tensor<1x8x2xi64>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi64>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x9x2xi32>) {
  // expected-error @below {{'pith.attention' op expects intervals of shape ?x8x2 and i32, got tensor<1x9x2xi32>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x9x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %p: !pith.pattern<[9, 8], [4, 4]>) {
  // expected-error @below {{'pith.attention' op expects a pattern over the axes [8, 9], queries and keys, got [9, 8]}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s, %p) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, !pith.pattern<[9, 8], [4, 4]>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %p: !pith.pattern<[8], [4]>) {
  // expected-error @below {{'pith.attention' op expects a pattern over the axes [8, 9], queries and keys, got [8]}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s, %p) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, !pith.pattern<[8], [4]>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %g: tensor<1x3xi32>) {
  // expected-error @below {{'pith.attention' op expects both global_tokens and reach, or neither}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s, %g) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<1x3xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %g: tensor<3xi32>, %r: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention' op expects global_tokens of shape ?x? and i32, got tensor<3xi32>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s, %g, %r) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<3xi32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%q: tensor<1x4x8x16xf32>, %k: tensor<1x2x9x16xf32>, %v: tensor<1x2x9x5xf32>, %x: f64, %o: tensor<1x4x8x5xf32>, %s: tensor<1x8x2xi32>, %g: tensor<1x3xi32>, %r: tensor<1x8xi32>) {
  // expected-error @below {{'pith.attention' op expects reach of shape ?x8x2 and i32, got tensor<1x8xi32>}}
  %y = "pith.attention"(%q, %k, %v, %x, %o, %s, %g, %r) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x2x9x16xf32>, tensor<1x2x9x5xf32>, f64, tensor<1x4x8x5xf32>, tensor<1x8x2xi32>, tensor<1x3xi32>, tensor<1x8xi32>) -> (tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%o: tensor<8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects own of rank 4, got tensor<8x16xf32>}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xi8>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects elements of f16, bf16, f32 or f64, got i8}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xi8>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x?xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects a static size of dimension 3 of other_pair}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x?xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf64>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects one element type, got f64 for other}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf64>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x8x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects size 9 in dimension 2 of other_pair, got 8}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x9x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects size 8 in dimension 2 of out, got 9}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x9x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x9x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf64>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects lse of f32, got f64}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf64>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x9xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects size 8 in dimension 2 of delta, got 9}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x9xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>, %po: tensor<1x4x8x5xf32>) {
  // expected-error @below {{'pith.attention_grad' op expects size 9 in dimension 2 of lse, got 8}}
  %y:2 = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i, %po) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>, tensor<1x4x8x5xf32>) -> (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects the result type of out, tensor<1x4x8x16xf32>, got tensor<1x4x?x16xf32>}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x?x16xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects both pair_out and its result, or neither}}
  %y:2 = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>) -> (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x9xf32>, %d: tensor<1x4x9xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>, %po: tensor<1x4x8x5xf32>) {
  // expected-error @below {{'pith.attention_grad' op expects the result type of pair_out, tensor<1x4x8x5xf32>, got tensor<1x4x?x5xf32>}}
  %y:2 = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i, %po) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x9xf32>, tensor<1x4x9xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>, tensor<1x4x8x5xf32>) -> (tensor<1x4x8x16xf32>, tensor<1x4x?x5xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x9xf32>, %d: tensor<1x4x9xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x8x2xi32>, %po: tensor<1x4x8x6xf32>) {
  // expected-error @below {{'pith.attention_grad' op expects size 5 in dimension 3 of pair_out, got 6}}
  %y:2 = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i, %po) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 1>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x9xf32>, tensor<1x4x9xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x8x2xi32>, tensor<1x4x8x6xf32>) -> (tensor<1x4x8x16xf32>, tensor<1x4x8x6xf32>)
  return
}

// -----

func.func @f(%o: tensor<1x4x8x16xf32>, %op: tensor<1x4x8x5xf32>, %x: tensor<1x4x9x16xf32>, %xp: tensor<1x4x9x5xf32>, %l: tensor<1x4x8xf32>, %d: tensor<1x4x8xf32>, %s: f64, %out: tensor<1x4x8x16xf32>, %i: tensor<1x9x2xi32>) {
  // expected-error @below {{'pith.attention_grad' op expects intervals of shape ?x8x2 and i32, got tensor<1x9x2xi32>}}
  %y = "pith.attention_grad"(%o, %op, %x, %xp, %l, %d, %s, %out, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x5xf32>, tensor<1x4x9x16xf32>, tensor<1x4x9x5xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, f64, tensor<1x4x8x16xf32>, tensor<1x9x2xi32>) -> (tensor<1x4x8x16xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x9x16xf32>, %s: f64, %i: tensor<1x8x2xi32>, %b: tensor<1x1x9x8xf64>) {
  // expected-error @below {{'pith.attention' op expects bias of f32, got f64}}
  %y = "pith.attention"(%q, %k, %k, %s, %q, %i, %b) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x4x8x16xf32>, tensor<2x4x9x16xf32>, tensor<2x4x9x16xf32>, f64, tensor<2x4x8x16xf32>, tensor<1x8x2xi32>, tensor<1x1x9x8xf64>) -> (tensor<2x4x8x16xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x9x16xf32>, %s: f64, %i: tensor<1x8x2xi32>, %b: tensor<1x1x1x8xf32>) {
  // expected-error @below {{'pith.attention' op expects size 9 in dimension 2 of bias, got 1}}
  %y = "pith.attention"(%q, %k, %k, %s, %q, %i, %b) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x4x8x16xf32>, tensor<2x4x9x16xf32>, tensor<2x4x9x16xf32>, f64, tensor<2x4x8x16xf32>, tensor<1x8x2xi32>, tensor<1x1x1x8xf32>) -> (tensor<2x4x8x16xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x9x16xf32>, %s: f64, %i: tensor<1x8x2xi32>, %p: !pith.pattern<[8, 9], [4, 4]>, %b: tensor<1x1x9x8xf32>) {
  // expected-error @below {{'pith.attention' op expects no bias with a pattern or global tokens}}
  %y = "pith.attention"(%q, %k, %k, %s, %q, %i, %p, %b) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1>, resultSegmentSizes = array<i32: 1, 0>}
    : (tensor<2x4x8x16xf32>, tensor<2x4x9x16xf32>, tensor<2x4x9x16xf32>, f64, tensor<2x4x8x16xf32>, tensor<1x8x2xi32>, !pith.pattern<[8, 9], [4, 4]>, tensor<1x1x9x8xf32>) -> (tensor<2x4x8x16xf32>)
  return
}
