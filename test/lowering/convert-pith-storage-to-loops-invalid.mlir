// What has no lowering to loops, and what is said about it.
// RUN: pith-opt %s --verify-diagnostics --convert-pith-storage-to-loops

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

func.func @f(%w: tensor<8x8xcomplex<f32>>) -> tensor<8x8xcomplex<f32>, #csr> {
  // expected-error @+1 {{'pith.compress' op has elements of type complex<f32>, which has no lowering to loops}}
  %e = "pith.compress"(%w) : (tensor<8x8xcomplex<f32>>) -> tensor<8x8xcomplex<f32>, #csr>
  return %e : tensor<8x8xcomplex<f32>, #csr>
}
