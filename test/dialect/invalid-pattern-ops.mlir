// Every verifier message of detect, sread, swrite, coordinates and from_coordinates.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

// --- detect ------------------------------------------------------------------------------------

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<8x16xf32, #csr>) {
  // expected-error @below {{'pith.detect' op expects source without an encoding}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64} : (tensor<8x16xf32, #csr>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xindex>) {
  // expected-error @below {{'pith.detect' op expects float or integer elements, got index}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64} : (tensor<8x16xindex>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects axes to be array<i64: ...>, got array<i32: 0>}}
  %0 = "pith.detect"(%a) {axes = array<i32: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects at least one axis}}
  %0 = "pith.detect"(%a) {axes = array<i64>, granularity = array<i64>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects axes to be dimensions of source (0 to 1), got 2}}
  %0 = "pith.detect"(%a) {axes = array<i64: 2>, granularity = array<i64: 1>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects distinct axes, got [0, 0]}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0, 0>, granularity = array<i64: 1, 1>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8, 8], [1, 1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects one granularity per axis, got 2 for 1}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1, 1>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects a granularity >= 1, got [0]}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 0>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects threshold to be an f64, got 0.000000e+00 : f32}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f32} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects threshold >= 0, got -1.0}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = -1.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[8], [1]>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.detect' op expects result type !pith.pattern<[8], [1]>, got !pith.pattern<[16], [1]>}}
  %0 = "pith.detect"(%a) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64} : (tensor<8x16xf32>) -> !pith.pattern<[16], [1]>
  return
}

// -----

// --- sread -------------------------------------------------------------------------------------

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<8x16xf32, #csr>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects source without an encoding}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 0>} : (tensor<8x16xf32, #csr>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects dims to be array<i64: ...>, got array<i32: 0>}}
  %0 = "pith.sread"(%a, %p) {dims = array<i32: 0>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects one entry of dims per pattern axis (1), got 2}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 0, 1>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects at least one pattern axis to index source}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: -1>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects dims to be dimensions of source (0 to 1), got 2}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 2>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8, 8], [1, 1]>) {
  // expected-error @below {{'pith.sread' op expects distinct dims, got [0, 0]}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 0, 0>} : (tensor<8x16xf32>, !pith.pattern<[8, 8], [1, 1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects dimension 1 of source to have the size of pattern axis 0, 8, got 16}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 1>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [1]>) {
  // expected-error @below {{'pith.sread' op expects result type tensor<?x16xf32>, got tensor<8x16xf32>}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 0>} : (tensor<8x16xf32>, !pith.pattern<[8], [1]>) -> tensor<8x16xf32>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>, %p: !pith.pattern<[8], [0]>) {
  // expected-error @below {{'pith.sread' op pattern axis 0 expects a granularity >= 1, got 0}}
  %0 = "pith.sread"(%a, %p) {dims = array<i64: 0>} : (tensor<8x16xf32>, !pith.pattern<[8], [0]>) -> tensor<?x16xf32>
  return
}

// -----

// --- swrite ------------------------------------------------------------------------------------

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%t: tensor<?x16xf32>, %p: !pith.pattern<[8], [1]>, %d: tensor<8x16xf32, #csr>) {
  // expected-error @below {{'pith.swrite' op expects dest without an encoding}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false} : (tensor<?x16xf32>, !pith.pattern<[8], [1]>, tensor<8x16xf32, #csr>) -> tensor<8x16xf32, #csr>
  return
}

// -----

func.func @f(%t: tensor<?x16xf32>, %p: !pith.pattern<[8], [1]>, %d: tensor<8x16xf32>) {
  // expected-error @below {{'pith.swrite' op expects accumulate to be true or false, got 1 : i32}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = 1 : i32} : (tensor<?x16xf32>, !pith.pattern<[8], [1]>, tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

func.func @f(%t: tensor<?x16xf32>, %p: !pith.pattern<[8], [1]>, %d: tensor<9x16xf32>) {
  // expected-error @below {{'pith.swrite' op expects dimension 0 of dest to have the size of pattern axis 0, 8, got 9}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false} : (tensor<?x16xf32>, !pith.pattern<[8], [1]>, tensor<9x16xf32>) -> tensor<9x16xf32>
  return
}

// -----

func.func @f(%t: tensor<?x16xf16>, %p: !pith.pattern<[8], [1]>, %d: tensor<8x16xf32>) {
  // expected-error @below {{'pith.swrite' op expects tile type tensor<?x16xf32>, got tensor<?x16xf16>}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false} : (tensor<?x16xf16>, !pith.pattern<[8], [1]>, tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

func.func @f(%t: tensor<?x16xf32>, %p: !pith.pattern<[8], [1]>, %d: tensor<8x16xf32>) {
  // expected-error @below {{'pith.swrite' op expects the result type of dest, tensor<8x16xf32>, got tensor<8x8xf32>}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false} : (tensor<?x16xf32>, !pith.pattern<[8], [1]>, tensor<8x16xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @f(%t: tensor<?x16xf32>, %p: !pith.pattern<[8, 64], [1, 32]>, %d: tensor<8x16xf32>) {
  // expected-error @below {{'pith.swrite' op expects accumulate = true: pattern axis 1 does not index dest, so micro-tiles may meet}}
  %0 = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0, -1>, accumulate = false} : (tensor<?x16xf32>, !pith.pattern<[8, 64], [1, 32]>, tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

// --- coordinates, from_coordinates ---------------------------------------------------------------

func.func @f(%p: !pith.pattern<[8, 8], [1, 1]>) {
  // expected-error @below {{'pith.coordinates' op expects result type tensor<?x2xi32>, got tensor<?xi32>}}
  %0 = "pith.coordinates"(%p) : (!pith.pattern<[8, 8], [1, 1]>) -> tensor<?xi32>
  return
}

// -----

func.func @f(%c: tensor<?x3xi32>) {
  // expected-error @below {{'pith.from_coordinates' op expects coordinates of i32 with one column per pattern axis (2), got tensor<?x3xi32>}}
  %0 = "pith.from_coordinates"(%c) : (tensor<?x3xi32>) -> !pith.pattern<[8, 8], [1, 1]>
  return
}

// -----

func.func @f(%c: tensor<?xi64>) {
  // expected-error @below {{'pith.from_coordinates' op expects coordinates of i32 with one column per pattern axis (1), got tensor<?xi64>}}
  %0 = "pith.from_coordinates"(%c) : (tensor<?xi64>) -> !pith.pattern<[8], [1]>
  return
}
