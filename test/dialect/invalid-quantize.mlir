// Every verifier message of dequantize and dequantize_rows.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8>, %s: tensor<?xf32>, %z: tensor<?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects source with a #pith.format encoding, got tensor<8x16xi8>}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 8 : i64} : (tensor<8x16xi8>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi16, #nm>, %s: tensor<?xf32>, %z: tensor<?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects source to hold i4 or i8, got i16}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 8 : i64} : (tensor<8x16xi16, #nm>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #nm>, %s: tensor<?xf64>, %z: tensor<?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects scales to be 1-D of f32, got tensor<?xf64>}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 8 : i64} : (tensor<8x16xi8, #nm>, tensor<?xf64>, tensor<?xi8>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #nm>, %s: tensor<?xf32>, %z: tensor<?x?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects zero_points to be 1-D of i8, got tensor<?x?xi8>}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 8 : i64} : (tensor<8x16xi8, #nm>, tensor<?xf32>, tensor<?x?xi8>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #nm>, %s: tensor<?xf32>, %z: tensor<?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects a positive group, got 0}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 0 : i64} : (tensor<8x16xi8, #nm>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #nm>, %s: tensor<?xf32>, %z: tensor<?xi8>) {
  // expected-error @below {{'pith.dequantize' op expects result to be source in f32, tensor<8x16xf32,}}
  %0 = "pith.dequantize"(%q, %s, %z) {group = 8 : i64} : (tensor<8x16xi8, #nm>, tensor<?xf32>, tensor<?xi8>) -> tensor<8x16xf64, #nm>
  return
}

// -----

func.func @f(%q: tensor<8x16xi8>, %s: tensor<8xf32>) {
  // expected-error @below {{'pith.dequantize_rows' op expects source with a #pith.format encoding, got tensor<8x16xi8>}}
  %0 = "pith.dequantize_rows"(%q, %s) : (tensor<8x16xi8>, tensor<8xf32>) -> tensor<8x16xf32>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
func.func @f(%q: tensor<8x16xi4, #csr>, %s: tensor<8xf32>) {
  // expected-error @below {{'pith.dequantize_rows' op expects source to be a matrix of i8, got tensor<8x16xi4, }}
  %0 = "pith.dequantize_rows"(%q, %s) : (tensor<8x16xi4, #csr>, tensor<8xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #csr>, %s: tensor<8xf64>) {
  // expected-error @below {{'pith.dequantize_rows' op expects scales to be 1-D of f32, got tensor<8xf64>}}
  %0 = "pith.dequantize_rows"(%q, %s) : (tensor<8x16xi8, #csr>, tensor<8xf64>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
func.func @f(%q: tensor<8x16xi8, #csr>, %s: tensor<8xf32>) {
  // expected-error @below {{'pith.dequantize_rows' op expects result to be source in f32, tensor<8x16xf32, }}
  %0 = "pith.dequantize_rows"(%q, %s) : (tensor<8x16xi8, #csr>, tensor<8xf32>) -> tensor<8x16xf64, #csr>
  return
}
