// Every way to misuse a type or attribute, wherever it occurs in a module.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

// --- formats, wherever a type occurs (the function's argument: no pith op sees it) -------------

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: nm level expects 1 <= G <= H, got 5:4}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<5, 4>], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level 2 is nm(2:8) but its expression d1 mod 4 has 4 coordinates; use (d1 floordiv c) mod 8}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 8>], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level 1 is nm(2:4) but its expression d1 has no fixed size; use (d1 floordiv c) mod 4}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: unknown level 'packed'; one of dense, compressed, loose_compressed, singleton, bitmask, nm, band}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"packed">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: unknown level property 'sorted' in 'compressed(sorted)'; nonunique, nonordered}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed(sorted)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level 'dense' is always unique and ordered}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense(nonunique)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: cannot parse level 'compressed('; e.g. dense, compressed(nonunique), nm(2:4)}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed(">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: cannot parse level 'nm(2)'; write nm(G:H), e.g. nm(2:4)}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"nm(2)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: expects #pith.level or #pith.nm as a level, got "dense"}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, "dense"], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: format expects one level per map result, got 1 for 2}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: cannot use d0 + d1 as a level expression; write d, d floordiv c, d mod c, (d floordiv c) mod c or d - d}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d0 + d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level expression d0 floordiv s0 expects constant factors}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1)[s0] -> (d0 floordiv s0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension d1 is stored by no level}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0)>, [#pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension d1: its outermost level d1 mod 4 must not have a mod}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension d1: its innermost level d1 floordiv 4 must reach single elements}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension d1: levels d1 floordiv 8 and d1 mod 4 do not cut it into consecutive digits; below d1 floordiv 8 expects an expression with div * mod = 8}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 8, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level 1 is singleton; the level above must be compressed or singleton, got dense}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"singleton">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: posWidth expects 0, 8, 16, 32 or 64, got 12}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 12, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: crdWidth expects 0, 8, 16, 32 or 64, got 4}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 4, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: nmWidth expects 0, 1, 2, 4, 8, 16, 32 or 64, got 3}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 3>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: nmWidth 1 cannot hold coordinates of nm(2:4)}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 1>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level band(1:1) has no diagonals; its expression is a difference: d1 - d0 : band(1:1)}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"band(1:1)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: diagonals d1 - d0 cannot be bitmask; band(lower:upper), or compressed}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0)>, [#pith.level<"dense">, #pith.level<"bitmask">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension d1 follows from d1 - d0 and d0, and has a level of its own}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: beside diagonals d1 - d0 every level is dense}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0)>, [#pith.level<"compressed">, #pith.level<"band(0:1)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: beside diagonals d1 - d0 the digits of d0 stand outermost first}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0 mod 4, d1 - d0, d0 floordiv 4)>, [#pith.level<"dense">, #pith.level<"compressed">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: format has the level d1 - d0 : band(0:1); expects one level of the diagonals of a matrix, d1 - d0}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0, d1 - d0)>, [#pith.level<"dense">, #pith.level<"band(0:1)">, #pith.level<"compressed">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: cannot parse level 'band(1)'; write band(lower:upper), e.g. band(1:1)}}
func.func @f(%a: tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 - d0)>, [#pith.level<"dense">, #pith.level<"band(1)">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: format of rank 2 on a tensor of rank 1: tensor<8xf32,}}
func.func @f(%a: tensor<8xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: dimension 1 of shape (8, 18) has size 18, which 4 does not divide}}
func.func @f(%a: tensor<8x18xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute function_type: nm level expects 1 <= G <= H, got 0:4}}
func.func private @f() -> tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<0, 4>], 0, 0, 0>>

// -----

func.func @f() {
  // expected-error @below {{'tensor.empty' op expects a legal pith type or attribute as result 0: nm level expects 1 <= G <= H, got 6:4}}
  %0 = tensor.empty() : tensor<8x16xf32, #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<6, 4>], 0, 0, 0>>
  return
}

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute x: nm level expects 1 <= G <= H, got 7:4}}
func.func private @f() attributes {x = [{y = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<7, 4>], 0, 0, 0>}]}

// -----

// --- patterns ----------------------------------------------------------------------------------

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: pattern expects at least one axis}}
func.func @f(%p: !pith.pattern<[], []>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: pattern expects one granularity per axis, got 1 for 2}}
func.func @f(%p: !pith.pattern<[8, 8], [1]>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: pattern axis 1 expects a size >= 0, or -1 for dynamic, got -2}}
func.func @f(%p: !pith.pattern<[8, -2], [1, 1]>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: pattern axis 0 expects a granularity >= 1, got 0}}
func.func @f(%p: !pith.pattern<[8], [0]>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: expects integers as sizes of a pattern, got "8"}}
func.func @f(%p: !pith.pattern<["8"], [1]>) { return }

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: expects integers as granularity of a pattern, got f32}}
func.func @f(%p: !pith.pattern<[8], [f32]>) { return }

// -----

// --- buffers -----------------------------------------------------------------------------------

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute pith.buffer: buffer expects a capacity >= 1, got 0}}
func.func private @f() attributes {pith.buffer = #pith.buffer<0, "stream", "l1">}

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute pith.buffer: buffer expects overflow to be one of stream, spill, grow, error, got 'drop'}}
func.func private @f() attributes {pith.buffer = #pith.buffer<64, "drop", "l1">}

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute pith.buffer: buffer expects space to be one of register, l1, l2, shared, global, got 'l3'}}
func.func private @f() attributes {pith.buffer = #pith.buffer<64, "stream", "l3">}

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as attribute pith.buffer: buffer in space 'shared' cannot grow; only "global" buffers can}}
func.func private @f() attributes {pith.buffer = #pith.buffer<64, "grow", "shared">}

// -----

// expected-error @below {{'func.func' op expects a legal pith type or attribute as block argument 0: level 1 is nm(2:4) but its expression d1 has no fixed size}}
func.func @f(%a: tensor<8x5xf32, #pith.padded<#pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>>) { return }

// -----

func.func @f(%x: vector<2x2x4xf32>, %i: vector<2x2x4xi32>) {
  // expected-error @below {{'pith.permute' op expects 1-D or 2-D vectors of as many rows of one type}}
  %0 = "pith.permute"(%x, %i) : (vector<2x2x4xf32>, vector<2x2x4xi32>) -> vector<2x2x4xf32>
  return
}

// -----

func.func @f(%x: vector<2x6xf32>, %i: vector<2x6xi32>) {
  // expected-error @below {{'pith.permute' op expects rows of a power of two}}
  %0 = "pith.permute"(%x, %i) : (vector<2x6xf32>, vector<2x6xi32>) -> vector<2x6xf32>
  return
}

// -----

func.func @f(%x: vector<8xf32>, %i: vector<8xi64>) {
  // expected-error @below {{'pith.permute' op expects an i32 index per element}}
  %0 = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi64>) -> vector<8xf32>
  return
}

// -----

func.func @f(%x: vector<8xf32>, %m: vector<4xi1>) {
  // expected-error @below {{'pith.compress_lanes' op expects a mask of as many lanes and a result like the source}}
  %0 = "pith.compress_lanes"(%x, %m) : (vector<8xf32>, vector<4xi1>) -> vector<8xf32>
  return
}

// -----

func.func @f(%x: i32) {
  // expected-error @below {{'pith.extract_bits' op expects words of 64 bits}}
  %0 = "pith.extract_bits"(%x, %x) : (i32, i32) -> i32
  return
}

// -----

func.func @f(%s: vector<8xf32>, %x: vector<32xi8>) {
  // expected-error @below {{'pith.dot' op expects an i32 accumulator of one dimension}}
  %0 = "pith.dot"(%s, %x, %x) : (vector<8xf32>, vector<32xi8>, vector<32xi8>) -> vector<8xf32>
  return
}

// -----

func.func @f(%s: vector<8xi32>, %x: vector<32xi8>, %y: vector<16xi16>) {
  // expected-error @below {{'pith.dot' op expects two vectors of i8 or i16, a dword per accumulator}}
  %0 = "pith.dot"(%s, %x, %y) : (vector<8xi32>, vector<32xi8>, vector<16xi16>) -> vector<8xi32>
  return
}
