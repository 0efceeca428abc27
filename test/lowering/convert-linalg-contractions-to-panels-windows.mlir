// RUN: pith-opt --split-input-file --convert-linalg-contractions-to-panels --canonicalize --cse %s | filecheck %s

// Convolutions: dense ones are products with windows that are packed from the image; those with a filter per channel have
// a kernel of their own.

// Windows of an image are packed from the image, converted on the way; no matrix of them is made. Where threads would
// get fewer tasks, they pack one panel each.

#read = affine_map<(c, r, s, y, x) -> (0, c, y + r, x + s)>
#same = affine_map<(c, r, s, y, x) -> (c, r, s, y, x)>
#windows = affine_map<(f, p, k) -> (k, p)>
#filters = affine_map<(f, p, k) -> (f, k)>
#out = affine_map<(f, p, k) -> (f, p)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @windows
// CHECK-NOT:     linalg.generic
// CHECK:         %[[image:.*]] = bufferization.to_buffer %arg0
// CHECK:         %[[few:.*]] = arith.cmpi ugt, %{{.*}}, %c7 : index
// CHECK:         %[[uneven:.*]] = arith.andi %{{.*}}, %[[few]]
// CHECK:         %[[group:.*]] = arith.select %[[uneven]], %c1, %c8 : index
// CHECK:         scf.parallel
// CHECK:           %[[panels:.*]] = memref.alloc(%[[group]]) {{.*}} : memref<?x72x{{[0-9]+}}xf32>
// CHECK:           vector.maskedload %[[image]]{{.*}} : memref<1x8x42x42xbf16>, vector<16xi1>, vector<16xbf16>
// CHECK:           vector.maskedstore %[[panels]]{{.*}} vector<16xi1>, vector<16xf32>
// CHECK:           vector.fma
func.func @windows(%x: tensor<1x8x42x42xbf16>, %w: tensor<24x72xbf16>, %y: tensor<24x1600xf32>) -> tensor<24x1600xf32> {
  %e = tensor.empty() : tensor<8x3x3x40x40xbf16>
  %win = linalg.generic {indexing_maps = [#read, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x42x42xbf16>) outs(%e : tensor<8x3x3x40x40xbf16>) {
  ^bb0(%v: bf16, %u: bf16):
    linalg.yield %v : bf16
  } -> tensor<8x3x3x40x40xbf16>
  %m = tensor.collapse_shape %win [[0, 1, 2], [3, 4]] : tensor<8x3x3x40x40xbf16> into tensor<72x1600xbf16>
  %r = linalg.generic {indexing_maps = [#windows, #filters, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%m, %w : tensor<72x1600xbf16>, tensor<24x72xbf16>) outs(%y : tensor<24x1600xf32>) {
  ^bb0(%v: bf16, %u: bf16, %s: f32):
    %a = arith.extf %v : bf16 to f32
    %b = arith.extf %u : bf16 to f32
    %p = arith.mulf %a, %b : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<24x1600xf32>
  return %r : tensor<24x1600xf32>
}

}

// -----

// A filter per channel: channels are tasks, which copy theirs with zeros around it. A tile is five lines of a result of
// 5x12; a vector of the image is read once for all of them. What is behind is computed before anything is stored.

#image = affine_map<(n, c, y, x, r, s) -> (n, c, y + r, x * 2 + s)>
#filters = affine_map<(n, c, y, x, r, s) -> (c, r, s)>
#out = affine_map<(n, c, y, x, r, s) -> (n, c, y, x)>
#same = affine_map<(n, c, y, x) -> (n, c, y, x)>

module attributes {pith.isa = "avx512"} {

// CHECK-LABEL: func.func @depthwise
// CHECK-NOT:     tensor.pad
// CHECK:         scf.parallel (%[[n:.*]], %[[c:.*]]) =
// CHECK:           %[[plane:.*]] = memref.alloca() {alignment = 64 : i64} : memref<223xf32>
// CHECK:           vector.load %{{.*}}[%[[n]], %[[c]], %{{.*}}, %{{.*}}] : memref<?x6x5x24xf32>, vector<16xf32>
// CHECK:           vector.load %{{.*}}[%[[n]], %[[c]], %{{.*}}, %{{.*}}] : memref<?x6x5x24xf32>, vector<8xf32>
// CHECK:           vector.shuffle
// CHECK-COUNT-45:  vector.fma
// CHECK-NOT:       vector.fma
// CHECK:           math.absf %{{.*}} : vector<8xf32>
// CHECK:           math.absf %{{.*}} : vector<4xf32>
// CHECK-NOT:     linalg.generic
func.func @depthwise(%x: tensor<?x6x5x24xf32>, %w: tensor<6x3x3xf32>, %o: tensor<?x6x5x12xf32>) -> tensor<?x6x5x12xf32> {
  %zero = arith.constant 0.0 : f32
  %padded = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 0] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<?x6x5x24xf32> to tensor<?x6x7x25xf32>
  %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x6x5x12xf32>) -> tensor<?x6x5x12xf32>
  %y = linalg.generic {indexing_maps = [#image, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%padded, %w : tensor<?x6x7x25xf32>, tensor<6x3x3xf32>) outs(%init : tensor<?x6x5x12xf32>) {
  ^bb0(%u: f32, %v: f32, %s: f32):
    %p = arith.mulf %u, %v : f32
    %q = arith.addf %s, %p : f32
    linalg.yield %q : f32
  } -> tensor<?x6x5x12xf32>
  %z = linalg.generic {indexing_maps = [#same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%y : tensor<?x6x5x12xf32>) {
  ^bb0(%u: f32):
    %p = math.absf %u : f32
    linalg.yield %p : f32
  } -> tensor<?x6x5x12xf32>
  return %z : tensor<?x6x5x12xf32>
}

}
