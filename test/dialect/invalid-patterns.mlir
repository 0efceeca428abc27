// Verifier messages of what makes patterns: options of detect, detect_by, topk, sample, sets, lengths, routing.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects pith.deterministic to be true or false, got 1 : i64}}
  %0 = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64, pith.deterministic = 1} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects pith.buffer to grow or to be an error, got #pith.buffer<8 : i64, "stream", "l1">}}
  %0 = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64, pith.buffer = #pith.buffer<8, "stream", "l1">} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: f64) {
  // expected-error @below {{'pith.detect_by' op expects channel to be empty for one threshold, got [0]}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 0>} : (tensor<8x16xf32>, f64) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: tensor<16xi32>) {
  // expected-error @below {{'pith.detect_by' op expects a threshold of type f64 or a 1-D tensor of floats, got tensor<16xi32>}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 1>} : (tensor<8x16xf32>, tensor<16xi32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: tensor<4x4xf32>) {
  // expected-error @below {{'pith.detect_by' op expects a threshold of type f64 or a 1-D tensor of floats, got tensor<4x4xf32>}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 1>} : (tensor<8x16xf32>, tensor<4x4xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: tensor<16xf32>) {
  // expected-error @below {{'pith.detect_by' op expects channel to be one dimension of source, got [2]}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 2>} : (tensor<8x16xf32>, tensor<16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: tensor<16xf32>) {
  // expected-error @below {{'pith.detect_by' op expects channel to be one dimension of source, got []}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64>} : (tensor<8x16xf32>, tensor<16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: tensor<16xf32>) {
  // expected-error @below {{'pith.detect_by' op expects one threshold per channel (8), got 16}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 0>} : (tensor<8x16xf32>, tensor<16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8x16xf32>, %t: f64) {
  // expected-error @below {{'pith.detect_by' op expects at least one axis}}
  %0 = "pith.detect_by"(%x, %t) {axes = array<i64>, granularity = array<i64>, channel = array<i64>} : (tensor<8x16xf32>, f64) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%s: tensor<2x3x4xf32>, %k: index) {
  // expected-error @below {{'pith.topk' op expects scores of rank 1 or 2, got tensor<2x3x4xf32>}}
  %0 = "pith.topk"(%s, %k) : (tensor<2x3x4xf32>, index) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%s: tensor<8xindex>, %k: index) {
  // expected-error @below {{'pith.topk' op expects float or integer elements, got index}}
  %0 = "pith.topk"(%s, %k) : (tensor<8xindex>, index) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%s: tensor<8x4xf32>, %k: index) {
  // expected-error @below {{'pith.topk' op expects result type !pith.pattern<[8, 4], [1, 1]>, got !pith.pattern<[8], [1]>}}
  %0 = "pith.topk"(%s, %k) : (tensor<8x4xf32>, index) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%x: tensor<8xf32>, %t: tensor<3x2xi32>, %l: f64, %n: index) {
  // expected-error @below {{'pith.sample' op expects source to be a matrix, got tensor<8xf32>}}
  %0 = "pith.sample"(%x, %t, %l, %n) : (tensor<8xf32>, tensor<3x2xi32>, f64, index) -> tensor<3xf64>
  return
}

// -----

func.func @f(%x: tensor<8x8xf32>, %t: tensor<3x3xi32>, %l: f64, %n: index) {
  // expected-error @below {{'pith.sample' op expects tiles to be a tensor of i32 with 2 columns, got tensor<3x3xi32>}}
  %0 = "pith.sample"(%x, %t, %l, %n) : (tensor<8x8xf32>, tensor<3x3xi32>, f64, index) -> tensor<3xf64>
  return
}

// -----

func.func @f(%x: tensor<8x8xf32>, %t: tensor<3x2xi32>, %l: f64, %n: index) {
  // expected-error @below {{'pith.sample' op expects result type to be a tensor of f64 with an entry per candidate, got tensor<3xf32>}}
  %0 = "pith.sample"(%x, %t, %l, %n) : (tensor<8x8xf32>, tensor<3x2xi32>, f64, index) -> tensor<3xf32>
  return
}

// -----

func.func @f(%p: !pith.pattern<[8], [1]>, %q: !pith.pattern<[-1], [1]>) {
  // expected-error @below {{'pith.union' op expects patterns of one type, got !pith.pattern<[8], [1]>, !pith.pattern<[8], [1]>, !pith.pattern<[-1], [1]>}}
  %0 = "pith.union"(%p, %q) : (!pith.pattern<[8], [1]>, !pith.pattern<[-1], [1]>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%p: !pith.pattern<[-1], [1]>) {
  // expected-error @below {{'pith.intersection' op expects one size per dynamic axis (1), got 0}}
  %0 = "pith.intersection"(%p, %p) : (!pith.pattern<[-1], [1]>, !pith.pattern<[-1], [1]>) -> !pith.pattern<[-1], [1]>
  return
}

// -----

func.func @f(%p: !pith.pattern<[8], [1]>, %n: index) {
  // expected-error @below {{'pith.complement' op expects one size per dynamic axis (0), got 1}}
  %0 = "pith.complement"(%p, %n) : (!pith.pattern<[8], [1]>, index) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%l: tensor<4xf32>, %n: index) {
  // expected-error @below {{'pith.from_lengths' op expects lengths to be a 1-D tensor of i32 or i64, got tensor<4xf32>}}
  %0 = "pith.from_lengths"(%l, %n) : (tensor<4xf32>, index) -> !pith.pattern<[4, -1], [1, 1]>
  return
}

// -----

func.func @f(%l: tensor<4xi32>, %n: index) {
  // expected-error @below {{'pith.from_lengths' op expects result type !pith.pattern<[4, -1], [1, 1]>, got !pith.pattern<[4], [1]>}}
  %0 = "pith.from_lengths"(%l, %n) : (tensor<4xi32>, index) -> !pith.pattern<[4], [1]>
  return
}

// -----

func.func @f(%l: tensor<4xi32>, %n: index) {
  // expected-error @below {{'pith.from_lengths' op expects result type !pith.pattern<[4, 9], [1, 2]>, got !pith.pattern<[5, 9], [1, 2]>}}
  %0 = "pith.from_lengths"(%l, %n) : (tensor<4xi32>, index) -> !pith.pattern<[5, 9], [1, 2]>
  return
}

// -----

func.func @f(%e: tensor<4x2x2xi32>) {
  // expected-error @below {{'pith.from_routing' op expects experts to be a 1-D or 2-D tensor of i32 or i64, got tensor<4x2x2xi32>}}
  %0 = "pith.from_routing"(%e) : (tensor<4x2x2xi32>) -> !pith.pattern<[4, 8], [1, 1]>
  return
}

// -----

func.func @f(%e: tensor<4xi32>) {
  // expected-error @below {{'pith.from_routing' op expects result type !pith.pattern<[4, 8], [1, 1]>, got !pith.pattern<[4, 8], [1, 2]>}}
  %0 = "pith.from_routing"(%e) : (tensor<4xi32>) -> !pith.pattern<[4, 8], [1, 2]>
  return
}
