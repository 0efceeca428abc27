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
