// RUN: pith-opt --split-input-file --verify-diagnostics --pith-assemble-arguments %s

// Only a body can take buffers instead.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

// expected-error@+1 {{has an encoded signature but no body}}
func.func private @external(tensor<8x16xf32, #csr>)

// -----

// Calls would have to change with the function they call.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>

func.func private @callee(%a: tensor<8x16xf32, #csr>) {
  return
}

func.func @caller(%a: tensor<8x16xf32, #csr>) {
  // expected-error@+1 {{calls a function with an encoded signature}}
  call @callee(%a) : (tensor<8x16xf32, #csr>) -> ()
  return
}
