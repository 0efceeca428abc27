// What kernels return as NumPy arrays: over the memory the kernel allocated, without a copy. Through
// `__array_interface__` an array takes 3 us to make, so 0.2 us (Emerald Rapids, November 2026).
#include "arrays.h"
#include "alloc.h"

namespace {

using namespace pith;

constexpr const char *kMemory = "pith.memory";
constexpr int kWriteable = 0x400; // NPY_ARRAY_WRITEABLE

/// The functions used; NumPy has kept them at these places of its table since 1.7.
struct NumPy {
  PyObject *arrayType;
  PyObject *(*newFromDescr)(PyObject *type, PyObject *dtype, int rank, const Py_ssize_t *sizes,
                            const Py_ssize_t *strides, void *data, int flags, PyObject *);
  int (*setBaseObject)(PyObject *array, PyObject *base);
};

NumPy numpy{}; // set once, with the interpreter lock held

/// Larger ones are not made here: they are compared with the machine's memory before.
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 30;
constexpr int kMaxRank = 32;

/// `new(dtype, size, ...)`: an uninitialised row-major array in pith's memory; NotImplemented for what it does not make.
PyObject *newArray(PyObject *, PyObject *const *arguments, Py_ssize_t count) {
  static PyObject *const itemSize = python().PyUnicode_InternFromString("itemsize");
  const Python &py = python();
  PyObject *size = count > 0 && count <= kMaxRank ? py.PyObject_GetAttr(arguments[0], itemSize) : nullptr;
  std::int64_t bytes = size ? py.PyLong_AsLongLong(size) : -1, sizes[kMaxRank], strides[kMaxRank];
  if (size)
    py.Py_DecRef(size);
  for (Py_ssize_t axis = count - 2; axis >= 0 && bytes >= 0; --axis) {
    strides[axis] = bytes;
    sizes[axis] = py.PyLong_AsLongLong(arguments[axis + 1]);
    bytes = sizes[axis] < 0 || __builtin_mul_overflow(bytes, sizes[axis], &bytes) ? -1 : bytes;
  }
  void *block = bytes < 0 || bytes > kMaxBytes || !numpy.arrayType ? nullptr : pith_alloc(bytes, 64);
  if (block)
    return makeArray(arguments[0], count - 1, sizes, strides, block, block);
  py.PyErr_Clear();
  return py.share(py.notImplemented);
}

void freeMemory(PyObject *capsule) { pith_free(python().PyCapsule_GetPointer(capsule, kMemory)); }

} // namespace

bool pith::canMakeArrays() { return numpy.arrayType; }

bool pith::maySayMore(PyObject *object) {
  PyObject *type = python().PyObject_Type(object);
  python().Py_DecRef(type); // the object keeps it
  return numpy.arrayType && type != numpy.arrayType;
}

PyObject *pith::makeArray(PyObject *dtype, std::int64_t rank, const std::int64_t *sizes, const std::int64_t *strides,
                          void *data, void *allocated) {
  const Python &py = python();
  PyObject *owner = py.PyCapsule_New(allocated, kMemory, freeMemory);
  if (!owner)
    return pith_free(allocated), nullptr;
  PyObject *array = numpy.newFromDescr(numpy.arrayType, py.share(dtype), static_cast<int>(rank), sizes, strides, data,
                                       kWriteable, nullptr); // takes the reference to dtype
  if (!array) {
    py.Py_DecRef(owner);
    return nullptr;
  }
  if (numpy.setBaseObject(array, owner) != 0) { // takes the reference to owner
    py.Py_DecRef(array);
    return nullptr;
  }
  return array;
}

/// `table`: what NumPy's `_ARRAY_API` capsule holds. Nothing happens where its ABI is not the one of NumPy 2.
PITH_EXPORT void pith_register_array_api(void *const *table) {
  auto version = reinterpret_cast<unsigned (*)()>(table[0]);
  if (version() >> 24 != 2)
    return;
  numpy.newFromDescr = reinterpret_cast<decltype(numpy.newFromDescr)>(table[94]);
  numpy.setBaseObject = reinterpret_cast<decltype(numpy.setBaseObject)>(table[282]);
  numpy.arrayType = static_cast<PyObject *>(table[2]);
}

/// The builtin `newArray` (new reference).
PITH_EXPORT PyObject *pith_array_function() {
  static PyMethodDef method{"new", newArray, kMethodFast, nullptr};
  return python().PyCFunction_NewEx(&method, nullptr, nullptr);
}
