// RUN: env PITH_ISA=emulate:avx2 pith-opt --pith-assemble-arguments --convert-pith-to-loops %s | filecheck %s
// RUN: env PITH_ISA=emulate:avx512 pith-opt --pith-assemble-arguments --convert-pith-to-loops %s | filecheck %s --check-prefix=MASKS

// Convolutions with stored filters, as pith-unfold-convolutions leaves them: a copy of the windows, and a product. The
// product packs its panels from the image, and the copy has no reader any more.

#fmt = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>, [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#read = affine_map<(r, s, c, y, x) -> (0, c, y + r, x + s)>
#same = affine_map<(r, s, c, y, x) -> (r, s, c, y, x)>
#twice = affine_map<(r, s, c, y, x) -> (0, c, y * 2 + r, x * 2 + s)>
#k = affine_map<(f, p, k) -> (k, p)>
#w = affine_map<(f, p, k) -> (f, k)>
#o = affine_map<(f, p, k) -> (f, p)>

// Windows are packed from the image: the copy of them is gone. There are many panels, so the task that packs one
// multiplies all rows with it.
// CHECK-LABEL: func.func @windows(
// CHECK-NOT:     linalg.generic
// CHECK:         %[[IMAGE:.*]] = bufferization.to_buffer %arg0
// CHECK:         scf.parallel
// CHECK:           %[[PANEL:.*]] = memref.alloc() {{.*}} : memref<1x72x64xf32>
// CHECK:           %[[PIECE:.*]] = vector.load %[[IMAGE]]{{.*}} memref<1x8x42x42xf32>, vector<8xf32>
// CHECK:           vector.store %[[PIECE]], %[[PANEL]]
// CHECK:           {pith.apart}
// CHECK:           vector.fma
// CHECK-NOT:     scf.parallel
//
// With masks whole registers are copied, and what lanes past the line's end hold is not stored.
// MASKS-LABEL: func.func @windows(
// MASKS:         %[[PUT:.*]] = vector.create_mask %{{.*}} : vector<16xi1>
// MASKS-COUNT-8: vector.maskedstore %{{.*}}[%{{.*}}], %{{.*}}, %{{.*}} : memref<1x72x64xf32>, vector<16xi1>, vector<16xf32>
// MASKS-NOT:     vector.maskedstore
// MASKS:         {pith.apart}
func.func @windows(%x: tensor<1x8x42x42xf32>, %a: tensor<5x72xf32, #fmt>, %y: tensor<5x1600xf32>) -> tensor<5x1600xf32> {
  %e = tensor.empty() : tensor<3x3x8x40x40xf32>
  %win = linalg.generic {indexing_maps = [#read, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x42x42xf32>) outs(%e : tensor<3x3x8x40x40xf32>) {
  ^bb0(%v: f32, %u: f32):
    linalg.yield %v : f32
  } -> tensor<3x3x8x40x40xf32>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<3x3x8x40x40xf32> into tensor<72x1600xf32>
  %r = linalg.generic {indexing_maps = [#k, #w, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %a : tensor<72x1600xf32>, tensor<5x72xf32, #fmt>) outs(%y : tensor<5x1600xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %p = arith.mulf %v, %u : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<5x1600xf32>
  return %r : tensor<5x1600xf32>
}

// Every other element of a line: two vectors, shuffled. Few panels: all are packed first.
// CHECK-LABEL: func.func @strided(
// CHECK-NOT:     linalg.generic
// CHECK:         scf.parallel
// CHECK:           vector.shuffle %{{.*}}, %{{.*}} [0, 2, 4, 6, 9, 11, 13, 15]
// CHECK:         scf.parallel
// CHECK:           vector.fma
//
// MASKS-LABEL: func.func @strided(
// MASKS:         vector.maskedload
// MASKS:         vector.maskedload
// MASKS:         vector.shuffle %{{.*}}, %{{.*}} [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]
func.func @strided(%x: tensor<1x8x33x33xf32>, %a: tensor<5x72xf32, #fmt>, %y: tensor<5x256xf32>) -> tensor<5x256xf32> {
  %e = tensor.empty() : tensor<3x3x8x16x16xf32>
  %win = linalg.generic {indexing_maps = [#twice, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x33x33xf32>) outs(%e : tensor<3x3x8x16x16xf32>) {
  ^bb0(%v: f32, %u: f32):
    linalg.yield %v : f32
  } -> tensor<3x3x8x16x16xf32>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<3x3x8x16x16xf32> into tensor<72x256xf32>
  %r = linalg.generic {indexing_maps = [#k, #w, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %a : tensor<72x256xf32>, tensor<5x72xf32, #fmt>) outs(%y : tensor<5x256xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %p = arith.mulf %v, %u : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<5x256xf32>
  return %r : tensor<5x256xf32>
}

// Zeros around the image are not written there: a row of it is asked for, and of a line what is on it is copied.
// CHECK-LABEL: func.func @padded(
// CHECK:         %[[IMAGE:.*]] = bufferization.to_buffer %arg0
// CHECK:         %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %c40_{{.*}} : index
// CHECK-NEXT:    scf.if %[[INSIDE]]
// CHECK:           vector.load %[[IMAGE]]{{.*}} memref<1x8x40x40xf32>
// CHECK:         } else {
// CHECK:           vector.store %{{.*}}, %{{.*}} : memref<1x72x64xf32>
//
// MASKS-LABEL: func.func @padded(
// MASKS:         %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %c40_{{.*}} : index
// MASKS:         %[[HI:.*]] = arith.select %[[INSIDE]]
// MASKS:         vector.create_mask
// MASKS:         vector.create_mask
// MASKS:         vector.maskedload {{.*}} memref<1x8x40x40xf32>
func.func @padded(%image: tensor<1x8x40x40xf32>, %a: tensor<5x72xf32, #fmt>, %y: tensor<5x1600xf32>) -> tensor<5x1600xf32> {
  %zero = arith.constant 0.0 : f32
  %x = tensor.pad %image low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x40x40xf32> to tensor<1x8x42x42xf32>
  %e = tensor.empty() : tensor<3x3x8x40x40xf32>
  %win = linalg.generic {indexing_maps = [#read, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x42x42xf32>) outs(%e : tensor<3x3x8x40x40xf32>) {
  ^bb0(%v: f32, %u: f32):
    linalg.yield %v : f32
  } -> tensor<3x3x8x40x40xf32>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<3x3x8x40x40xf32> into tensor<72x1600xf32>
  %r = linalg.generic {indexing_maps = [#k, #w, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %a : tensor<72x1600xf32>, tensor<5x72xf32, #fmt>) outs(%y : tensor<5x1600xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %p = arith.mulf %v, %u : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<5x1600xf32>
  return %r : tensor<5x1600xf32>
}

// Only run time knows the height of the image, and how many panels there are: few are packed before all else, of many
// each by its task.
// CHECK-LABEL: func.func @any_height(
// CHECK:         %[[FEW:.*]] = arith.cmpi ult, %{{.*}}, %c8
// CHECK:         scf.parallel
// CHECK:           {pith.apart}
// CHECK:         scf.parallel
// CHECK:           {pith.apart}
// CHECK:           arith.select %[[FEW]], %{{.*}}, %{{.*}} : memref<?x72x64xf32>
// CHECK:           vector.fma
func.func @any_height(%x: tensor<1x8x?x42xf32>, %h: index, %a: tensor<5x72xf32, #fmt>, %y: tensor<5x?xf32>) -> tensor<5x?xf32> {
  %e = tensor.empty(%h) : tensor<3x3x8x?x40xf32>
  %win = linalg.generic {indexing_maps = [#read, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x?x42xf32>) outs(%e : tensor<3x3x8x?x40xf32>) {
  ^bb0(%v: f32, %u: f32):
    linalg.yield %v : f32
  } -> tensor<3x3x8x?x40xf32>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<3x3x8x?x40xf32> into tensor<72x?xf32>
  %r = linalg.generic {indexing_maps = [#k, #w, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %a : tensor<72x?xf32>, tensor<5x72xf32, #fmt>) outs(%y : tensor<5x?xf32>) {
  ^bb0(%v: f32, %u: f32, %s: f32):
    %p = arith.mulf %v, %u : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<5x?xf32>
  return %r : tensor<5x?xf32>
}
