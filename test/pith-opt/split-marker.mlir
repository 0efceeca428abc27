// The marker between chunks can be chosen, on either side.
// RUN: pith-opt %s --split-input-file='// ====' | filecheck %s
// RUN: pith-opt %s --split-input-file='// ====' --output-split-marker='// ~~~~' | filecheck %s --check-prefix=OUT
// OUT: // ~~~~

// CHECK: func.func @a
// CHECK: // -----
// CHECK: func.func @a
func.func @a() { return }
// ====
func.func @a() { return }
