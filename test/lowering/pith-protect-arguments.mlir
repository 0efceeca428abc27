// RUN: pith-opt --pith-protect-arguments %s | filecheck %s

// Tensors of entry functions are marked as not writable, so that bufferization copies before it updates.

// CHECK-LABEL: func.func @entry
// CHECK-SAME:    (%{{.*}}: tensor<?xf32> {bufferization.writable = false, pith.name = "x"}, %{{.*}}: index,
// CHECK-SAME:     %{{.*}}: memref<?xf32>)
func.func @entry(%x: tensor<?xf32> {pith.name = "x"}, %i: index, %out: memref<?xf32>) {
  return
}

// What the caller says stays.

// CHECK-LABEL: func.func @licensed
// CHECK-SAME:    (%{{.*}}: tensor<?xf32> {bufferization.writable = true})
func.func @licensed(%x: tensor<?xf32> {bufferization.writable = true}) {
  return
}

// Of private functions bufferization knows all callers.

// CHECK-LABEL: func.func private @internal
// CHECK-SAME:    (%{{.*}}: tensor<?xf32>)
func.func private @internal(%x: tensor<?xf32>) {
  return
}
