// The few parts of CPython's stable ABI (3.11 and later) and of DLPack that the fast call path uses.
//
// Declared here instead of including Python.h, so that building the library needs a C++ compiler only. The
// functions are looked up in the running process: loaded outside of Python, the library works without them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <dlfcn.h>
#include <type_traits>

struct _object; // PyObject

namespace pith {

using PyObject = _object;
using Py_ssize_t = std::ptrdiff_t;

/// PEP 3118; part of the stable ABI since 3.11.
struct Py_buffer {
  void *buf;
  PyObject *obj;
  Py_ssize_t len;
  Py_ssize_t itemsize;
  int readonly;
  int ndim;
  char *format;
  Py_ssize_t *shape;
  Py_ssize_t *strides; // in bytes
  Py_ssize_t *suboffsets;
  void *internal;
};

constexpr int kBufferFormat = 0x4, kBufferStrides = 0x10 | 0x8; // PyBUF_FORMAT, PyBUF_STRIDES

using FastFunction = PyObject *(*)(PyObject *self, PyObject *const *arguments, Py_ssize_t count);

struct PyMethodDef {
  const char *name;
  FastFunction function;
  int flags;
  const char *documentation;
};

constexpr int kMethodFast = 0x80; // METH_FASTCALL

struct DLTensor {
  void *data;
  struct {
    std::int32_t type;
    std::int32_t id;
  } device;
  std::int32_t ndim;
  struct {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
  } dtype;
  std::int64_t *shape;
  std::int64_t *strides; // in elements; null: row-major
  std::uint64_t byteOffset;
};

/// DLPack 1.2: function table a tensor type publishes as __dlpack_c_exchange_api__.
struct DLPackExchangeAPI {
  struct {
    std::uint32_t major;
    std::uint32_t minor;
    void *previous;
  } header;
  void *allocate;
  void *managedFromObject;
  void *managedToObject;
  int (*tensorFromObject)(void *object, DLTensor *tensor); // borrows; shape and strides live as long as the object
  void *currentStream;
};

/// The functions of the running interpreter; all of them are in the stable ABI.
struct Python {
  int (*PyObject_GetBuffer)(PyObject *, Py_buffer *, int);
  void (*PyBuffer_Release)(Py_buffer *);
  void (*PyErr_Clear)();
  PyObject *(*PyErr_Occurred)();
  void (*PyErr_SetString)(PyObject *, const char *);
  void *(*PyEval_SaveThread)();
  void (*PyEval_RestoreThread)(void *);
  double (*PyFloat_AsDouble)(PyObject *);
  PyObject *(*PyFloat_FromDouble)(double);
  long long (*PyLong_AsLongLong)(PyObject *);
  PyObject *(*PyLong_FromLongLong)(long long);
  PyObject *(*PyBool_FromLong)(long);
  PyObject *(*PyBytes_FromStringAndSize)(const char *, Py_ssize_t);
  PyObject *(*PyTuple_New)(Py_ssize_t);
  int (*PyTuple_SetItem)(PyObject *, Py_ssize_t, PyObject *);
  PyObject *(*PyObject_Type)(PyObject *);
  PyObject *(*PyObject_GetAttr)(PyObject *, PyObject *);
  PyObject *(*PyObject_CallMethodObjArgs)(PyObject *, PyObject *, ...);
  PyObject *(*PyUnicode_InternFromString)(const char *);
  PyObject *(*PyCapsule_New)(void *, const char *, void (*)(PyObject *));
  void *(*PyCapsule_GetPointer)(PyObject *, const char *);
  PyObject *(*PyCFunction_NewEx)(PyMethodDef *, PyObject *, PyObject *);
  void (*Py_IncRef)(PyObject *);
  void (*Py_DecRef)(PyObject *);
  PyObject **PyExc_MemoryError;
  PyObject *none, *notImplemented, *no;
  bool complete = true;

  Python() {
    auto find = [this](auto &slot, const char *name) {
      slot = reinterpret_cast<std::decay_t<decltype(slot)>>(dlsym(RTLD_DEFAULT, name));
      complete = complete && slot;
    };
#define PITH_FIND(NAME) find(NAME, #NAME)
    PITH_FIND(PyObject_GetBuffer), PITH_FIND(PyBuffer_Release), PITH_FIND(PyErr_Clear), PITH_FIND(PyErr_Occurred);
    PITH_FIND(PyEval_SaveThread), PITH_FIND(PyEval_RestoreThread), PITH_FIND(PyFloat_AsDouble);
    PITH_FIND(PyFloat_FromDouble), PITH_FIND(PyLong_AsLongLong), PITH_FIND(PyLong_FromLongLong);
    PITH_FIND(PyBool_FromLong), PITH_FIND(PyBytes_FromStringAndSize), PITH_FIND(PyObject_Type);
    PITH_FIND(PyObject_GetAttr), PITH_FIND(PyObject_CallMethodObjArgs), PITH_FIND(PyUnicode_InternFromString);
    PITH_FIND(PyTuple_New), PITH_FIND(PyTuple_SetItem), PITH_FIND(PyCapsule_New), PITH_FIND(PyCapsule_GetPointer);
    PITH_FIND(PyErr_SetString), PITH_FIND(PyExc_MemoryError), PITH_FIND(PyCFunction_NewEx);
    PITH_FIND(Py_IncRef), PITH_FIND(Py_DecRef);
#undef PITH_FIND
    find(none, "_Py_NoneStruct"), find(notImplemented, "_Py_NotImplementedStruct"), find(no, "_Py_FalseStruct");
  }

  PyObject *share(PyObject *object) const {
    Py_IncRef(object);
    return object;
  }
};

inline const Python &python() {
  static const Python functions;
  return functions;
}

} // namespace pith
