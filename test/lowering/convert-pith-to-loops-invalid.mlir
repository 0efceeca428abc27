// RUN: pith-opt --split-input-file --verify-diagnostics --convert-pith-to-loops %s
// RUN: not pith-opt --split-input-file --convert-pith-to-loops=templates=fast %s 2>&1 | filecheck %s

// What has no lowering to loops, and what is said about it: an option that is no set of templates, storage that nothing
// assembles, named ops, encoded results, and ops that are not linalg.

// CHECK: expects templates to be all, panel or sampled, got 'fast'

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>

// Storage is read off the op that assembles it.

// expected-error@+1 {{which is not the result of a pith.assemble}}
func.func @argument(%A: tensor<8x16xf32, #csr>) -> tensor<8x16xf32> {
  %d = "pith.decompress"(%A) : (tensor<8x16xf32, #csr>) -> tensor<8x16xf32>
  return %d : tensor<8x16xf32>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>

// Named ops have maps and a body that only linalg-generalize-named-ops spells out.

func.func @named(%A: tensor<8x16xf32, #csr>, %x: tensor<16x4xf32>, %y: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // expected-error@+1 {{has an encoded operand but is not a linalg.generic}}
  %r = linalg.matmul ins(%A, %x : tensor<8x16xf32, #csr>, tensor<16x4xf32>) outs(%y : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %r : tensor<8x4xf32>
}

// -----

// Results are computed densely; pith.compress packs them.

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#id = affine_map<(i, j) -> (i, j)>

func.func @result(%x: tensor<8x16xf32>, %y: tensor<8x16xf32, #csr>) -> tensor<8x16xf32, #csr> {
  // expected-error@+1 {{writes an encoded result}}
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<8x16xf32>) outs(%y : tensor<8x16xf32, #csr>) {
  ^bb0(%v: f32, %s: f32):
    linalg.yield %v : f32
  } -> tensor<8x16xf32, #csr>
  return %r : tensor<8x16xf32, #csr>
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>

// Packing is pith.compress's own lowering, convert-pith-storage-to-loops.

func.func @other(%x: tensor<8x16xf32>) -> index {
  // expected-error@+1 {{uses an encoded tensor, which has no lowering to loops}}
  %c = "pith.compress"(%x) : (tensor<8x16xf32>) -> tensor<8x16xf32, #csr>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %c, %c0 : tensor<8x16xf32, #csr>
  return %n : index
}
