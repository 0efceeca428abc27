// What has no lowering to loops, and what is said about it.
// RUN: pith-opt %s --split-input-file --verify-diagnostics --convert-pith-storage-to-loops

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

func.func @f(%w: tensor<8x8xcomplex<f32>>) -> tensor<8x8xcomplex<f32>, #csr> {
  // expected-error @+1 {{'pith.compress' op has elements of type complex<f32>, which has no lowering to loops}}
  %e = "pith.compress"(%w) : (tensor<8x8xcomplex<f32>>) -> tensor<8x8xcomplex<f32>, #csr>
  return %e : tensor<8x8xcomplex<f32>, #csr>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

func.func @f(%a: tensor<8x8xf32, #csr>, %w: tensor<8x8xf32>) -> tensor<8x8xf32, #csr> {
  // expected-error @+1 {{'pith.repack' op has a pattern that is not the result of pith.assemble}}
  %r = "pith.repack"(%a, %w) : (tensor<8x8xf32, #csr>, tensor<8x8xf32>) -> tensor<8x8xf32, #csr>
  return %r : tensor<8x8xf32, #csr>
}

// -----

#band = #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0)>, [#pith.level<"dense">, #pith.level<"band(1:1)">], 0, 0, 0>

func.func @f(%w: tensor<8x8xf32>) -> tensor<8x8xf32, #band> {
  // expected-error @+1 {{'pith.compress' op has no lowering for diagonals (d0 : dense, d1 - d0 : band(1:1))}}
  %e = "pith.compress"(%w) : (tensor<8x8xf32>) -> tensor<8x8xf32, #band>
  return %e : tensor<8x8xf32, #band>
}
