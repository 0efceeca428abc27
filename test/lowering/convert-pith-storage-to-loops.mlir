// RUN: pith-opt --pith-assemble-arguments --convert-pith-storage-to-loops --canonicalize --cse %s | filecheck %s

// Packing, pruning and checking a dense tensor. Each op walks the tree of its format's levels: for
// #nm that is a row, a group of 4 columns, a column.

#nm = #pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 4, d1 mod 4)>,
                   [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
#bits = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"bitmask">], 64, 0, 0>
#pad = #pith.padded<#nm>

module attributes {pith.isa = "avx2"} {

// A static format: every position is known, so the buffers are filled in one pass. Coordinates of 2 bits are
// packed into bytes, 4 in each; a thread takes 8 rows, which always are whole bytes.

// CHECK-LABEL: func.func @pack_static
// CHECK-SAME:    (%[[w:.*]]: tensor<64x32xf32>) -> (tensor<?xi8>, tensor<?xf32>)
// CHECK:         %[[crd:.*]] = memref.alloc() {{.*}} : memref<256xi8>
// CHECK:         linalg.fill ins(%{{.*}} : i8) outs(%[[crd]]
// CHECK:         %[[values:.*]] = memref.alloc() {{.*}} : memref<1024xf32>
// CHECK:         scf.parallel (%{{.*}}) = (%c0) to (%c8)
// CHECK:           scf.for %[[row:.*]] =
// CHECK:             scf.for %[[group:.*]] = %c0 to %c8
// The columns of the group that hold something, compared side by side, become the bits of a word ...
// CHECK:               %[[elements:.*]] = vector.load %{{.*}}[%[[row]], %{{.*}}] : memref<64x32xf32>, vector<4xf32>
// CHECK:               %[[flags:.*]] = arith.cmpf une, %[[elements]], %{{.*}} : vector<4xf32>
// CHECK:               vector.bitcast %[[flags]] : vector<4xi1> to vector<1xi4>
// CHECK:               %[[held:.*]] = arith.extui %{{.*}} : i4 to i64
// ... which is filled up with the lowest others until it has 2: a digit of a number that holds all answers ...
// CHECK:               %[[place:.*]] = arith.muli %[[held]], %c4_i64
// CHECK:               %[[digit:.*]] = arith.shrui %{{.*}}, %[[place]]
// CHECK:               %[[full:.*]] = arith.andi %[[digit]], %c15_i64
// ... and taken apart, lowest bit first: a coordinate and a value each.
// CHECK:               scf.for {{.*}} = %c0 to %c2 {{.*}} iter_args(%{{.*}} = %[[full]]) -> (i64)
// CHECK:                 math.cttz
// CHECK:                 memref.store %{{.*}}, %[[crd]]
// CHECK:                 memref.store %{{.*}}, %[[values]]
// CHECK-NOT:     pith.
func.func @pack_static(%w: tensor<64x32xf32>) -> tensor<64x32xf32, #nm> {
  %e = "pith.compress"(%w) : (tensor<64x32xf32>) -> tensor<64x32xf32, #nm>
  return %e : tensor<64x32xf32, #nm>
}

// Where positions depend on the data, the same walk runs twice: it counts the entries of every row, the counts
// are added up, and then it writes. A number that does not fit its 32 bits fails an assert.

// CHECK-LABEL: func.func @pack_counted
// CHECK-SAME:    (%[[w:.*]]: tensor<?x32xf32>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xf32>, index)
// CHECK:         %[[rows:.*]] = tensor.dim %[[w]], %c0
// CHECK:         %[[bounds:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xindex>
// CHECK:         scf.parallel (%{{.*}}) = (%c0) to (%[[rows]])
// CHECK:           %[[count:.*]] = scf.for {{.*}} = %c0 to %c32
// CHECK:           memref.store %[[count]], %[[bounds]]
// CHECK:         scf.for {{.*}} = %c0 to %[[rows]]
// CHECK:           arith.addi
// CHECK:           memref.store %{{.*}}, %[[bounds]]
// CHECK:         %[[total:.*]] = memref.load %[[bounds]][%[[rows]]]
// CHECK:         %[[pos:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi32>
// CHECK:         %[[crd:.*]] = memref.alloc(%[[total]]) {{.*}} : memref<?xi32>
// CHECK:         %[[values:.*]] = memref.alloc(%[[total]]) {{.*}} : memref<?xf32>
// CHECK:         scf.parallel (%[[row:.*]]) = (%c0) to (%[[rows]])
// CHECK:           %[[begin:.*]] = memref.load %[[bounds]][%[[row]]]
// CHECK:           %[[end:.*]] = scf.for {{.*}} = %c0 to %c32 {{.*}} iter_args(%{{.*}} = %[[begin]])
// CHECK:             memref.store %{{.*}}, %[[crd]]
// CHECK:             memref.store %{{.*}}, %[[values]]
// CHECK:           %[[entry:.*]] = arith.index_cast %[[end]] : index to i32
// CHECK:           memref.store %[[entry]], %[[pos]]
// CHECK:         cf.assert %{{.*}}, "pith.compress: positions of 32 bits cannot hold the tensor; use a wider format"
func.func @pack_counted(%w: tensor<?x32xf32>) -> tensor<?x32xf32, #csr> {
  %e = "pith.compress"(%w) : (tensor<?x32xf32>) -> tensor<?x32xf32, #csr>
  return %e : tensor<?x32xf32, #csr>
}

// A bitmask level counts in the same way, and sets a bit per entry.

// CHECK-LABEL: func.func @pack_bits
// CHECK:         %[[bits:.*]] = memref.alloc() {{.*}} : memref<256xi8>
// CHECK:         linalg.fill ins(%{{.*}} : i8) outs(%[[bits]]
// CHECK:         %[[word:.*]] = memref.load %[[bits]]
// CHECK:         arith.ori %[[word]]
// CHECK-NOT:     cf.assert
func.func @pack_bits(%w: tensor<64x32xi8>) -> tensor<64x32xi8, #bits> {
  %e = "pith.compress"(%w) : (tensor<64x32xi8>) -> tensor<64x32xi8, #bits>
  return %e : tensor<64x32xi8, #bits>
}

// Pruning takes 8 groups of 4 columns at a time: each vector is loaded in blocks of 4, shuffled into one vector per
// column of the groups, and back. A column stays when fewer than 2 of its group beat it: one comparison per pair.

// CHECK-LABEL: func.func @prune
// CHECK-SAME:    (%[[w:.*]]: tensor<64x32xf32>)
// CHECK:         %[[out:.*]] = memref.alloc() {{.*}} : memref<64x32xf32>
// CHECK:         scf.parallel (%[[row:.*]]) = (%c0) to (%c64)
// CHECK-NOT:       scf.
// CHECK-COUNT-8:   vector.load %{{.*}}[%[[row]], %{{.*}}] : memref<64x32xf32>, vector<4xf32>
// CHECK-COUNT-4:   vector.shuffle %{{.*}} [{{[01]}}, {{[23]}}, {{[89]}}, {{10|11}},
// CHECK-COUNT-4:   math.absf
// CHECK-COUNT-6:   arith.cmpi sge, {{.*}} : vector<8xi32>
// CHECK-COUNT-4:   arith.cmpi slt
// CHECK-COUNT-4:   arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<8xi1>, vector<8xi32>
// CHECK-COUNT-8:   vector.store %{{.*}}, %[[out]][%[[row]], %{{.*}}]
func.func @prune(%w: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %p = "pith.prune"(%w) {format = #nm} : (tensor<64x32xf32>) -> tensor<64x32xf32>
  return %p : tensor<64x32xf32>
}

// Groups that fill no vector go one by one: keys of one group are kept at hand, the second largest is found, and what
// is smaller becomes zero; of equal ones the lower columns stay.

// CHECK-LABEL: func.func @prune_few
// CHECK:         %[[out:.*]] = memref.alloc() {{.*}} : memref<64x20xf32>
// CHECK:         scf.parallel
// CHECK:           %[[keys:.*]] = memref.alloca() : memref<4xi64>
// CHECK:           scf.for {{.*}} = %c0 to %c5
// CHECK:             scf.for {{.*}} = %c0 to %c4
// CHECK:               math.absf
// CHECK:               memref.store %{{.*}}, %[[keys]]
// CHECK:             %[[bound:.*]] = scf.for {{.*}} = %c0 to %c4 {{.*}} -> (i64)
// CHECK:             scf.for {{.*}} = %c0 to %c4 {{.*}} -> (index)
// CHECK:               arith.cmpi ugt, %{{.*}}, %[[bound]]
// CHECK:               arith.cmpi eq, %{{.*}}, %[[bound]]
// CHECK:               %[[kept:.*]] = arith.select %{{.*}}, %{{.*}}, %cst
// CHECK:               memref.store %[[kept]], %[[out]]
func.func @prune_few(%w: tensor<64x20xf32>) -> tensor<64x20xf32> {
  %p = "pith.prune"(%w) {format = #nm} : (tensor<64x20xf32>) -> tensor<64x20xf32>
  return %p : tensor<64x20xf32>
}

// Ranked by another tensor: its numbers are compared, -0.0 as 0.0, those below the floor are dropped in any case, and
// a NaN among them raises a flag.

// CHECK-LABEL: func.func @prune_by
// CHECK-SAME:    (%[[w:.*]]: tensor<64x32xbf16>, %[[s:.*]]: tensor<64x32xf32>, %[[floor:.*]]: f64)
// CHECK:         %[[flag:.*]] = memref.alloc() : memref<1xi8>
// CHECK:         vector.load %{{.*}} : memref<64x32xbf16>, vector<4xbf16>
// CHECK:         arith.extui %{{.*}} : vector<4xi16> to vector<4xi32>
// CHECK:         vector.load %{{.*}} : memref<64x32xf32>, vector<4xf32>
// CHECK:         %[[bound:.*]] = vector.broadcast %[[floor]]
// CHECK:         arith.cmpf oge, %{{.*}}, %[[bound]]
// CHECK:         arith.shrsi
// CHECK:         arith.cmpi sge, {{.*}} : vector<8xi32>
// CHECK:         arith.trunci %{{.*}} : vector<4xi32> to vector<4xi16>
// CHECK:         vector.reduction <maxsi>
// CHECK:         scf.if
// CHECK:           memref.store %c1_i8, %[[flag]]
func.func @prune_by(%w: tensor<64x32xbf16>, %s: tensor<64x32xf32>, %floor: f64) -> (tensor<64x32xbf16>, i1) {
  %p, %nan = "pith.prune_by"(%w, %s, %floor) {format = #nm, score = "value"}
    : (tensor<64x32xbf16>, tensor<64x32xf32>, f64) -> (tensor<64x32xbf16>, i1)
  return %p, %nan : tensor<64x32xbf16>, i1
}

// A format without limits keeps everything.

// CHECK-LABEL: func.func @prune_nothing
// CHECK-SAME:    (%[[w:.*]]: tensor<64x32xf32>)
// CHECK-NEXT:    return %[[w]]
func.func @prune_nothing(%w: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %p = "pith.prune"(%w) {format = #csr} : (tensor<64x32xf32>) -> tensor<64x32xf32>
  return %p : tensor<64x32xf32>
}

// Checking carries, per group, the first non-zero, the first without room, and how many columns hold something.
// A size that is known only at run time must be whole groups.

// CHECK-LABEL: func.func @validate
// CHECK:         cf.assert %{{.*}}, "pith: 4 must divide dimension 1 of a tensor in the format {{.*}}"
// CHECK:         %[[worst:.*]] = memref.alloc(%{{.*}}) : memref<?xindex>
// CHECK:         scf.parallel
// CHECK:           %[[row:.*]]:2 = scf.for
// CHECK:             scf.for {{.*}} = %c0 to %c4 {{.*}} -> (index, index, index)
// CHECK:           memref.store %[[row]]#1, %[[worst]]
// CHECK:         %[[first:.*]] = scf.for
// CHECK:         %[[found:.*]] = arith.cmpi ne, %[[first]]
// CHECK:         arith.select %[[found]], %[[first]], %c-1
func.func @validate(%w: tensor<?x?xf32>) -> index {
  %i = "pith.validate"(%w) {format = #nm} : (tensor<?x?xf32>) -> index
  return %i : index
}

// Beside the packing of the same tensor, the check is free: the element is searched for when a group was too full.

// CHECK-LABEL: func.func @pack_and_check
// CHECK:         %[[flag:.*]] = memref.alloc() : memref<1xi8>
// CHECK:         scf.parallel
// CHECK:           %[[held:.*]] = math.ctpop
// CHECK:           %[[over:.*]] = arith.cmpi ugt, %[[held]], %c2_i64
// CHECK:           scf.if %[[over]]
// CHECK-NEXT:        memref.store %c1_i8, %[[flag]]
// CHECK:         scf.if
// CHECK:           scf.parallel
// CHECK:         else
// CHECK-NEXT:      scf.yield %c-1
func.func @pack_and_check(%w: tensor<64x32xf32>) -> (index, tensor<64x32xf32, #nm>) {
  %i = "pith.validate"(%w) {format = #nm} : (tensor<64x32xf32>) -> index
  %e = "pith.compress"(%w) : (tensor<64x32xf32>) -> tensor<64x32xf32, #nm>
  return %i, %e : index, tensor<64x32xf32, #nm>
}

// New values for a pattern that stays: its coordinates say where to read.

// CHECK-LABEL: func.func @repack
// CHECK-SAME:    (%[[crd:.*]]: tensor<?xi8> {{.*}}, %[[old:.*]]: tensor<?xf32> {{.*}}, %[[w:.*]]: tensor<64x32xf32>)
// CHECK:         %[[values:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xf32>
// CHECK:         scf.parallel (%[[row:.*]]) = (%c0) to (%c64)
// CHECK:           scf.for {{.*}} = %c0 to %c8
// CHECK-COUNT-2:     tensor.extract %[[w]][%[[row]], %{{.*}}]
// CHECK:         %[[new:.*]] = bufferization.to_tensor %[[values]]
// CHECK:         return %[[crd]], %[[new]]
func.func @repack(%a: tensor<64x32xf32, #nm>, %w: tensor<64x32xf32>) -> tensor<64x32xf32, #nm> {
  %r = "pith.repack"(%a, %w) : (tensor<64x32xf32, #nm>, tensor<64x32xf32>) -> tensor<64x32xf32, #nm>
  return %r : tensor<64x32xf32, #nm>
}

// Buffers, casts and sizes of an assembled tensor are known without touching it.

// CHECK-LABEL: func.func @through
// CHECK-SAME:    (%[[crd:.*]]: tensor<?xi8> {{.*}}, %[[values:.*]]: tensor<?xf32> {{.*}}, %[[rows:.*]]: index
// CHECK-NEXT:    return %[[crd]], %[[values]], %[[rows]]
func.func @through(%a: tensor<?x32xf32, #nm>) -> (tensor<?x32xf32, #nm>) {
  %s = tensor.cast %a : tensor<?x32xf32, #nm> to tensor<?x?xf32, #nm>
  %d = tensor.cast %s : tensor<?x?xf32, #nm> to tensor<?x32xf32, #nm>
  return %d : tensor<?x32xf32, #nm>
}

// A cast that drops the encoding unpacks.

// CHECK-LABEL: func.func @unpack
// CHECK:         %[[a:.*]] = "pith.assemble"
// CHECK:         %[[d:.*]] = "pith.decompress"(%[[a]]) : {{.*}} -> tensor<16x32xf32>
// CHECK-NEXT:    return %[[d]]
func.func @unpack(%a: tensor<?x32xf32, #nm>) -> tensor<16x32xf32> {
  %d = tensor.cast %a : tensor<?x32xf32, #nm> to tensor<16x32xf32>
  return %d : tensor<16x32xf32>
}

// A padded format packs a copy that is rounded up with zeros; what it keeps is cropped again.

// CHECK-LABEL: func.func @padded
// CHECK:         %[[WHOLE:.*]] = memref.alloc() {alignment = 64 : i64} : memref<3x8xf32>
// CHECK:         linalg.fill ins(%{{.*}} : f32) outs(%[[WHOLE]] : memref<3x8xf32>)
// CHECK:         memref.alloc() {alignment = 64 : i64} : memref<3x8xf32>
// CHECK:         %[[PART:.*]] = memref.alloc() {alignment = 64 : i64} : memref<3x6xf32>
// CHECK:         bufferization.to_tensor %[[PART]]
func.func @padded(%w: tensor<3x6xf32>) -> tensor<3x6xf32> {
  %p = "pith.prune"(%w) {format = #pad} : (tensor<3x6xf32>) -> tensor<3x6xf32>
  return %p : tensor<3x6xf32>
}
}
