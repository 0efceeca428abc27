// RUN: pith-opt --pith-approximate-math %s | filecheck %s

// Functions of f32 become polynomials and arithmetic on bits, which vectorise where a call of libm would not.

// erf is clamped (NaN stays NaN), then x * P(x^2) / Q(x^2), both polynomials by Horner's rule.

// CHECK-LABEL: func.func @erf
// CHECK-SAME:    (%[[x:.*]]: f32)
// CHECK:         %[[low:.*]] = arith.minimumf %[[x]], %{{.*}}
// CHECK:         %[[c:.*]] = arith.maximumf %[[low]], %{{.*}}
// CHECK:         %[[t:.*]] = arith.mulf %[[c]], %[[c]]
// CHECK:         math.fma %{{.*}}, %[[t]],
// CHECK-NOT:     math.erf
// CHECK:         %[[r:.*]] = arith.divf
// CHECK-NEXT:    return %[[r]]
func.func @erf(%x: f32) -> f32 {
  %y = math.erf %x : f32
  return %y : f32
}

// CHECK-LABEL: func.func @tanh
// CHECK-NOT:     math.tanh
// CHECK:         arith.divf
func.func @tanh(%x: f32) -> f32 {
  %y = math.tanh %x : f32
  return %y : f32
}

// exp(x) = 2^n * exp(r): n is the nearest integer to x / ln 2 and is added to the exponent field.

// CHECK-LABEL: func.func @exp
// CHECK-SAME:    (%[[x:.*]]: f32)
// CHECK:         %[[n:.*]] = math.roundeven
// CHECK:         %[[i:.*]] = arith.fptosi %[[n]] : f32 to i32
// CHECK:         %[[e:.*]] = arith.shli %[[i]],
// CHECK:         arith.addi %{{.*}}, %[[e]] : i32
// CHECK:         arith.cmpf olt, %[[x]],
// CHECK:         arith.cmpf ogt, %[[x]],
// CHECK:         %[[nan:.*]] = arith.cmpf uno, %[[x]], %[[x]]
// CHECK:         %[[r:.*]] = arith.select %[[nan]], %[[x]],
// CHECK-NEXT:    return %[[r]]
func.func @exp(%x: f32) -> f32 {
  %y = math.exp %x : f32
  return %y : f32
}

// Vectors take the same arithmetic, lane by lane.

// CHECK-LABEL: func.func @vector
// CHECK:         arith.fptosi %{{.*}} : vector<8xf32> to vector<8xi32>
// CHECK-NOT:     math.exp
// CHECK:         return
func.func @vector(%x: vector<8xf32>) -> vector<8xf32> {
  %y = math.exp %x : vector<8xf32>
  return %y : vector<8xf32>
}

// Other element types and other functions stay: libm has them.

// CHECK-LABEL: func.func @kept
// CHECK-NEXT:    math.exp %{{.*}} : f64
// CHECK-NEXT:    math.tanh %{{.*}} : f16
// CHECK-NEXT:    math.erf %{{.*}} : bf16
// CHECK-NEXT:    math.sin %{{.*}} : f32
func.func @kept(%a: f64, %b: f16, %c: bf16, %d: f32) -> (f64, f16, bf16, f32) {
  %0 = math.exp %a : f64
  %1 = math.tanh %b : f16
  %2 = math.erf %c : bf16
  %3 = math.sin %d : f32
  return %0, %1, %2, %3 : f64, f16, bf16, f32
}
