// RUN: pith-opt --split-input-file --verify-diagnostics --pith-emulate-x86 %s

// Instructions that have no emulation are refused by name, with the element type where that is the reason.

func.func @no_emulation(%a: vector<8xf32>) -> vector<8xf32> {
  // expected-error @below {{'x86.avx.rsqrt' op has no emulation}}
  %r = x86.avx.rsqrt %a : vector<8xf32>
  return %r : vector<8xf32>
}

// -----

func.func @eight_bit_floats(%c: memref<16x16xf32>, %a: memref<16x64xf8E5M2>) {
  %c0 = arith.constant 0 : index
  %z = x86.amx.tile_zero : !x86.amx.tile<16x16xf32>
  %x = x86.amx.tile_load %a[%c0, %c0] : memref<16x64xf8E5M2> into !x86.amx.tile<16x64xf8E5M2>
  // expected-error @below {{'x86.amx.tile_mulf' op has no emulation for elements of type f8E5M2}}
  %r = x86.amx.tile_mulf %x, %x, %z
      : !x86.amx.tile<16x64xf8E5M2>, !x86.amx.tile<16x64xf8E5M2>, !x86.amx.tile<16x16xf32>
  x86.amx.tile_store %c[%c0, %c0], %r : memref<16x16xf32>, !x86.amx.tile<16x16xf32>
  return
}
