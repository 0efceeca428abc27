// Every verifier message of prune, prune_by, repack, validate, compress, decompress, assemble and disassemble.
// RUN: pith-opt %s --split-input-file --verify-diagnostics

// --- prune, validate ---------------------------------------------------------------------------

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>) {
  // expected-error @below {{'pith.prune' op expects source without an encoding, got tensor<8x16xf32,}}
  %0 = "pith.prune"(%a) {format = #nm} : (tensor<8x16xf32, #nm>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x18xf32>) {
  // expected-error @below {{'pith.prune' op expects a format for its operand: dimension 1 of shape (8, 18) has size 18, which 4 does not divide (format d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4)); pad dimension 1 with zeros to 20, let the format do so (' pad' after its text, fmt.with_padding()), or choose a format whose group divides it}}
  %0 = "pith.prune"(%a) {format = #nm} : (tensor<8x18xf32>) -> tensor<8x18xf32>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{'pith.prune' op expects a format for its operand: format d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4) is for rank 2, got shape (8,)}}
  %0 = "pith.prune"(%a) {format = #nm} : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.prune' op expects the result type of its source, tensor<8x16xf32>, got tensor<8x16xf64>}}
  %0 = "pith.prune"(%a) {format = #nm} : (tensor<8x16xf32>) -> tensor<8x16xf64>
  return
}

// -----

// --- repack -------------------------------------------------------------------------------------

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %w: tensor<8x16xf32>) {
  // expected-error @below {{'pith.repack' op expects pattern with a #pith.format encoding, got tensor<8x16xf32>}}
  %0 = "pith.repack"(%a, %w) : (tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>, %w: tensor<8x16xf32, #nm>) {
  // expected-error @below {{'pith.repack' op expects source without an encoding, got tensor<8x16xf32,}}
  %0 = "pith.repack"(%a, %w) : (tensor<8x16xf32, #nm>, tensor<8x16xf32, #nm>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>, %w: tensor<8x16xf64>) {
  // expected-error @below {{'pith.repack' op expects pattern and source to agree in shape and element type, got tensor<8x16xf64>}}
  %0 = "pith.repack"(%a, %w) : (tensor<8x16xf32, #nm>, tensor<8x16xf64>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>, %w: tensor<8x16xf32>) {
  // expected-error @below {{'pith.repack' op expects the result type of its pattern, tensor<8x16xf32,}}
  %0 = "pith.repack"(%a, %w) : (tensor<8x16xf32, #nm>, tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

// --- prune_by -----------------------------------------------------------------------------------

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %s: tensor<8x16xf32, #nm>, %floor: f64) {
  // expected-error @below {{'pith.prune_by' op expects saliency without an encoding, got tensor<8x16xf32,}}
  %0:2 = "pith.prune_by"(%a, %s, %floor) {format = #nm, score = "l1"} : (tensor<8x16xf32>, tensor<8x16xf32, #nm>, f64) -> (tensor<8x16xf32>, i1)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %s: tensor<8x12xf32>, %floor: f64) {
  // expected-error @below {{'pith.prune_by' op expects saliency of the shape of source, got tensor<8x12xf32>}}
  %0:2 = "pith.prune_by"(%a, %s, %floor) {format = #nm, score = "l1"} : (tensor<8x16xf32>, tensor<8x12xf32>, f64) -> (tensor<8x16xf32>, i1)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %s: tensor<8x16xf32>, %floor: f64) {
  // expected-error @below {{'pith.prune_by' op expects the result type of its source, tensor<8x16xf32>, got tensor<8x16xf64>}}
  %0:2 = "pith.prune_by"(%a, %s, %floor) {format = #nm, score = "l1"} : (tensor<8x16xf32>, tensor<8x16xf32>, f64) -> (tensor<8x16xf64>, i1)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %s: tensor<8x16xf32>, %floor: f64) {
  // expected-error @below {{'pith.prune_by' op expects has_nan to be an i1, got i8}}
  %0:2 = "pith.prune_by"(%a, %s, %floor) {format = #nm, score = "l1"} : (tensor<8x16xf32>, tensor<8x16xf32>, f64) -> (tensor<8x16xf32>, i8)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>, %s: tensor<8x16xf32>, %floor: f64) {
  // expected-error @below {{'pith.prune_by' op expects score to be one of l1, l2, scaled, value, got l3}}
  %0:2 = "pith.prune_by"(%a, %s, %floor) {format = #nm, score = "l3"} : (tensor<8x16xf32>, tensor<8x16xf32>, f64) -> (tensor<8x16xf32>, i1)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<5, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.validate' op expects a format for its operand: nm level expects 1 <= G <= H, got 5:4}}
  %0 = "pith.validate"(%a) {format = #nm} : (tensor<8x16xf32>) -> index
  return
}

// -----

// --- compress, decompress ----------------------------------------------------------------------

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.compress' op expects result with a #pith.format encoding, got tensor<8x16xf32>}}
  %0 = "pith.compress"(%a) : (tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<5, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.compress' op expects a legal encoding on result: nm level expects 1 <= G <= H, got 5:4}}
  %0 = "pith.compress"(%a) : (tensor<8x16xf32>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.compress' op expects source and result to agree in shape and element type, got tensor<8x16xf32> and tensor<8x32xf32,}}
  %0 = "pith.compress"(%a) : (tensor<8x16xf32>) -> tensor<8x32xf32, #nm>
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.decompress' op expects source with a #pith.format encoding, got tensor<8x16xf32>}}
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32>) -> tensor<8x16xf32>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>) {
  // expected-error @below {{'pith.decompress' op expects result without an encoding}}
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #nm>) -> tensor<8x16xf32, #nm>
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x16xf32, #nm>) {
  // expected-error @below {{'pith.decompress' op expects source and result to agree in shape and element type}}
  %0 = "pith.decompress"(%a) : (tensor<8x16xf32, #nm>) -> tensor<8x16xf16>
  return
}

// -----

// --- assemble, disassemble ---------------------------------------------------------------------

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'operandSegmentSizes' attribute is expected but not provided}}
  %0 = "pith.assemble"(%p, %c, %v) : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects result with a #pith.format encoding, got tensor<8x16xf32>}}
  %0 = "pith.assemble"(%p, %c, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>} : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects 1 positions buffers for tensor<8x16xf32,}}
  %0 = "pith.assemble"(%c, %v) {operandSegmentSizes = array<i32: 0, 1, 0, 1, 0>} : (tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects 1 coordinates buffers for tensor<8x16xf32,}}
  %0 = "pith.assemble"(%p, %c, %c, %v) {operandSegmentSizes = array<i32: 1, 2, 0, 1, 0>} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects 0 packed buffers for tensor<8x16xf32,}}
  %0 = "pith.assemble"(%p, %c, %b, %v) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi8>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects coordinates to be tensor<?xi32>, got tensor<?xi8>}}
  %0 = "pith.assemble"(%p, %b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>} : (tensor<?xi32>, tensor<?xi8>, tensor<?xf32>) -> tensor<8x16xf32, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects values to be tensor<?xf64>, got tensor<?xf32>}}
  %0 = "pith.assemble"(%p, %c, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>} : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<8x16xf64, #csr>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects one size per dynamic dimension of the result (1), got 0}}
  %0 = "pith.assemble"(%p, %c, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>} : (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x16xf32, #csr>
  return
}

// -----

// nm coordinates below 512 take 16 bits, the words of a bitmask 8.
#deep = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 512, d1 mod 512)>, [#pith.level<"dense">, #pith.level<"bitmask">, #pith.nm<4, 512>], 32, 0, 0>
func.func @f(%p: tensor<?xi32>, %c: tensor<?xi32>, %v: tensor<?xf32>, %n: index, %b: tensor<?xi8>, %w: tensor<?xi16>) {
  // expected-error @below {{'pith.assemble' op expects one storage width for all packed buffers of tensor<8x1024xf32,}}
  %0 = "pith.assemble"(%p, %b, %b, %v) {operandSegmentSizes = array<i32: 1, 0, 2, 1, 0>} : (tensor<?xi32>, tensor<?xi8>, tensor<?xi8>, tensor<?xf32>) -> tensor<8x1024xf32, #deep>
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<8x16xf32, #csr>) {
  // expected-error @below {{'resultSegmentSizes' attribute is expected but not provided}}
  %0:3 = "pith.disassemble"(%a) : (tensor<8x16xf32, #csr>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>)
  return
}

// -----

func.func @f(%a: tensor<8x16xf32>) {
  // expected-error @below {{'pith.disassemble' op expects source with a #pith.format encoding, got tensor<8x16xf32>}}
  %0:3 = "pith.disassemble"(%a) {resultSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<8x16xf32>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>)
  return
}

// -----

#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
func.func @f(%a: tensor<8x16xf32, #csr>) {
  // expected-error @below {{'pith.disassemble' op expects positions to be tensor<?xi32>, got tensor<?xindex>}}
  %0:3 = "pith.disassemble"(%a) {resultSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<8x16xf32, #csr>) -> (tensor<?xindex>, tensor<?xi32>, tensor<?xf32>)
  return
}

// -----

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
func.func @f(%a: tensor<8x18x2xf32>) {
  // expected-error @below {{'pith.prune' op expects a format for its operand: format d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4) pad is for rank 2, got shape (8, 18, 2)}}
  %0 = "pith.prune"(%a) {format = #pith.padded<#nm>} : (tensor<8x18x2xf32>) -> tensor<8x18x2xf32>
  return
}
