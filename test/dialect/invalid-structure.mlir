// Ops without the operands, attributes or results of their definition: IRDL says so, Python verifiers stay out of it.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{op expects exactly 2 operands, but got 1}}
  %0 = "pith.sread"(%a) {dims = array<i64: 0>} : (tensor<8xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{op expects exactly 1 results, but got 0}}
  "pith.compress"(%a) : (tensor<8xf32>) -> ()
  return
}

// -----

func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{'pith.prune' op attribute "format" is expected but not provided}}
  %0 = "pith.prune"(%a) : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{'1 : i64' does not satisfy the constraint}}
  %0 = "pith.prune"(%a) {format = 1} : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%a: tensor<*xf32>) {
  // expected-error @below {{expected base type 'builtin.tensor' but got 'builtin.unranked_tensor'}}
  %0 = "pith.compress"(%a) : (tensor<*xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%a: tensor<8xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{expected base type 'builtin.tensor' but got 'pith.pattern'}}
  %0 = "pith.sread"(%p, %a) {dims = array<i64: 0>} : (!pith.pattern<[8], [1]>, tensor<8xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%p: !pith.pattern<[8], [1]>, %a: tensor<8xf32>) {
  // expected-error @below {{'operandSegmentSizes' attribute for specifying operand segments must have 12 elements, but got 3}}
  %0 = "pith.pit_tile"(%p, %a, %a) ({}) {operandSegmentSizes = array<i32: 1, 1, 1>, indexing_maps = [],
      iterator_types = [], axes = array<i64>, tile = array<i64>, micro_tile = array<i64>, accumulate = false}
    : (!pith.pattern<[8], [1]>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%p: !pith.pattern<[8], [1]>, %a: tensor<8xf32>) {
  // expected-error @below {{op attribute "accumulate" is expected but not provided}}
  %0 = "pith.pit_tile"(%p, %a) ({}) {operandSegmentSizes = array<i32: 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>,
      indexing_maps = [], iterator_types = [], axes = array<i64>, tile = array<i64>, micro_tile = array<i64>}
    : (!pith.pattern<[8], [1]>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// A parameter of another kind does not even parse.
// expected-error @below {{expected base attribute 'builtin.integer' but got 'builtin.string'}}
func.func private @f() attributes {x = #pith.nm<"two", 4>}

// -----

// The bindings have no class for dense arrays of these.
func.func @f(%p: tensor<9xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>) {
  // expected-error @below {{'operandSegmentSizes' attribute is expected to be a dense i32 array}}
  %0 = "pith.assemble"(%p, %c, %v) {operandSegmentSizes = array<ui8: 1, 1, 0, 1, 0>}
    : (tensor<9xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects axes to be an array of signless integers, f32 or f64}}
  %0 = "pith.detect"(%x) {axes = array<bf16>, granularity = array<i64: 1>, threshold = 0.0 : f64}
    : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

// What no pith op reads may be anything.
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> attributes {a = array<ui8: 1>, b = [array<bf16: 1.0>], c = {d = array<si8: 2>}} {
  return {c = array<f16: 1.0>} %x : tensor<4xf32>
}
