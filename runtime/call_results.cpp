// The struct that a kernel writes its results to, as Python objects.
#include "call_results.h"
#include "arrays.h"
#include <algorithm>
#include <cstring>

namespace {

using namespace pith;

/// What MLIR gives as the allocated pointer of a constant: it is part of the object.
constexpr std::int64_t kConstant = 0xDEADBEEF;

/// Calls `visit(result, its field)` for every result.
template <typename Visit> void eachResult(const std::vector<Spec> &results, const char *block, Visit visit) {
  std::int64_t at = 0;
  for (const Spec &spec : results) {
    std::int64_t alignment = spec.memref ? 8 : spec.itemSize;
    at = (at + alignment - 1) / alignment * alignment;
    visit(spec, block + at);
    at += spec.memref ? (3 + 2 * spec.rank()) * 8 : spec.itemSize;
  }
}

PyObject *toArray(const Spec &spec, PyObject *dtype, const char *field) {
  std::int64_t words[3 + 2 * kMaxRank], rank = spec.rank();
  std::memcpy(words, field, static_cast<std::size_t>(3 + 2 * rank) * 8);
  std::int64_t *sizes = words + 3, *strides = sizes + rank;
  std::for_each(strides, strides + rank, [&](std::int64_t &stride) { stride *= spec.itemSize; });
  char *data = reinterpret_cast<char *>(words[1]) + words[2] * spec.itemSize;
  return makeArray(dtype, rank, sizes, strides, data, reinterpret_cast<void *>(words[0]));
}

std::int64_t bitsAt(const Spec &spec, const char *field) {
  std::int64_t bits = 0;
  std::memcpy(&bits, field, static_cast<std::size_t>(spec.itemSize));
  return bits;
}

} // namespace

PyObject *pith::toPython(const Spec &spec, std::int64_t bits) {
  const Python &py = python();
  if (spec.kind == '?')
    return py.PyBool_FromLong(bits & 1);
  if (spec.kind == 'i') {
    int unused = static_cast<int>(64 - spec.itemSize * 8);
    return py.PyLong_FromLongLong(static_cast<std::int64_t>(static_cast<std::uint64_t>(bits) << unused) >> unused);
  }
  double wide;
  float narrow;
  std::memcpy(&wide, &bits, sizeof wide);
  std::memcpy(&narrow, &bits, sizeof narrow);
  return py.PyFloat_FromDouble(spec.itemSize == 8 ? wide : static_cast<double>(narrow));
}

PyObject *pith::toPython(const std::vector<Spec> &results, const std::vector<PyObject *> &dtypes, const char *block) {
  const Python &py = python();
  bool several = results.size() > 1;
  PyObject *tuple = several ? py.PyTuple_New(static_cast<Py_ssize_t>(results.size())) : nullptr, *last = nullptr;
  bool failed = several && !tuple;
  Py_ssize_t count = 0;
  auto dtype = dtypes.begin();
  eachResult(results, block, [&](const Spec &spec, const char *field) { // the rest too after a failure: they own memory
    last = spec.memref ? toArray(spec, *dtype++, field) : toPython(spec, bitsAt(spec, field));
    failed = failed || !last;
    if (tuple && last)
      py.PyTuple_SetItem(tuple, count++, last); // takes the reference
  });
  if (failed && tuple)
    py.Py_DecRef(tuple);
  return failed ? nullptr : several ? tuple : last;
}

bool pith::ownTheirMemory(const std::vector<Spec> &results, const char *block, const std::int64_t *addresses,
                          std::size_t count) {
  std::vector<std::int64_t> taken(addresses, addresses + count);
  bool isNew = true;
  eachResult(results, block, [&](const Spec &spec, const char *field) {
    if (!spec.memref)
      return;
    std::int64_t allocated;
    std::memcpy(&allocated, field, sizeof allocated);
    isNew = isNew && allocated != kConstant && std::find(taken.begin(), taken.end(), allocated) == taken.end();
    taken.push_back(allocated);
  });
  return isNew;
}
