// What kernels take and return as Python sees it, and the struct of their results as Python objects.
#pragma once
#include "python_abi.h"
#include <vector>

namespace pith {

constexpr int kMaxRank = 32;

/// One argument or result. `kind`: f float, i integer, ? bool, c complex, b bfloat16.
struct Spec {
  bool memref;
  char kind;
  std::int64_t itemSize;
  bool writable, strided;
  std::vector<std::int64_t> shape;
  std::int64_t rank() const { return static_cast<std::int64_t>(shape.size()); }
};

/// A number whose bits are the low ones of `bits`.
PyObject *toPython(const Spec &spec, std::int64_t bits);

/// The results in the struct at `block`, laid out as C does: one as it is, several as a tuple. `dtypes`: of the arrays.
PyObject *toPython(const std::vector<Spec> &results, const std::vector<PyObject *> &dtypes, const char *block);

/// Every array among the results has memory of its own: not that of an argument (which have `addresses`), of another
/// result or of the code.
bool ownTheirMemory(const std::vector<Spec> &results, const char *block, const std::int64_t *addresses,
                    std::size_t count);

} // namespace pith
