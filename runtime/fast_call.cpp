// The fast path of calling a kernel from Python: a builtin function that reads arguments through the buffer
// protocol or DLPack's exchange interface, builds memref descriptors on the stack, and runs the kernel without the
// interpreter lock. It handles only arguments that fit the signature as they are; for anything else it returns
// NotImplemented, having done nothing, and the Python code in call.py converts the arguments or reports what is wrong.
#include "alloc.h"
#include "arrays.h"
#include "call_results.h"
#include "export.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace {

using namespace pith;

constexpr int kMaxArguments = 32, kMaxWords = 512, kMaxTypes = 8;

/// `dtypes`: NumPy's, of the results that are arrays.
struct Plan {
  void (*entry)(void **);
  std::vector<Spec> arguments, results;
  std::vector<PyObject *> dtypes;
  std::int64_t resultBytes; // of the struct behind the first pointer; 0: one number comes back by value, or nothing
  ~Plan() {
    for (PyObject *dtype : dtypes)
      python().Py_DecRef(dtype);
  }
};

/// A tensor type that publishes DLPack's exchange interface.
struct TensorType {
  PyObject *type;
  const DLPackExchangeAPI *api;
};

TensorType tensorTypes[kMaxTypes]; // guarded by the interpreter lock
int tensorTypeCount = 0;

const TensorType *tensorTypeOf(PyObject *object) {
  PyObject *type = python().PyObject_Type(object);
  python().Py_DecRef(type); // the object keeps it
  for (int i = 0; i < tensorTypeCount; ++i)
    if (tensorTypes[i].type == type)
      return &tensorTypes[i];
  return nullptr;
}

bool formatFits(const Spec &spec, const Py_buffer &buffer) {
  const char *format = buffer.format ? buffer.format : "B";
  if (buffer.itemsize != spec.itemSize || buffer.ndim != spec.rank() || (spec.writable && buffer.readonly))
    return false;
  if (spec.kind == 'c' && *format++ != 'Z')
    return false;
  const char *letters = spec.kind == 'i' ? "bBhHiIlLqQ" : spec.kind == '?' ? "?" : spec.kind == 'b' ? "" : "efd";
  return format[0] && std::strchr(letters, format[0]) && !format[1];
}

bool dtypeFits(const Spec &spec, const DLTensor &tensor) {
  int code = tensor.dtype.code; // kDLInt 0, kDLUInt 1, kDLFloat 2, kDLBfloat 4, kDLBool 6
  bool kindFits = spec.kind == 'i' ? code <= 1 : code == (spec.kind == 'f' ? 2 : spec.kind == 'b' ? 4 : 6);
  return spec.kind != 'c' && kindFits && tensor.dtype.bits == spec.itemSize * 8 && tensor.dtype.lanes == 1 &&
         tensor.ndim == spec.rank();
}

/// Fills in a descriptor; false when sizes or strides (in units of `unit` bytes) do not fit. No strides: row-major.
bool describe(const Spec &spec, void *data, const std::int64_t *sizes, const std::int64_t *strides, std::int64_t unit,
              std::int64_t *words) {
  std::int64_t rank = spec.rank(), expected = 1, count = 1;
  words[0] = words[1] = reinterpret_cast<std::int64_t>(data);
  words[2] = 0;
  bool rowMajor = true;
  for (std::int64_t axis = rank - 1; axis >= 0; --axis) {
    std::int64_t size = sizes[axis], bytes = strides ? strides[axis] * unit : expected * spec.itemSize;
    if ((spec.shape[axis] != -1 && spec.shape[axis] != size) || bytes % spec.itemSize != 0)
      return false;
    rowMajor = rowMajor && (size == 1 || bytes == expected * spec.itemSize);
    words[3 + axis] = size;
    words[3 + rank + axis] = spec.strided ? bytes / spec.itemSize : expected;
    expected *= size;
    count *= size;
  }
  return spec.strided || rowMajor || count == 0;
}

/// True when the storage says all there is to a torch tensor: no gradient wanted, no pending negation. DLPack's
/// exchange interface leaves both out. (Conjugation is pending on complex tensors only, which take the other path.)
bool isPlain(PyObject *tensor) {
  static PyObject *const gradient = python().PyUnicode_InternFromString("requires_grad");
  static PyObject *const negative = python().PyUnicode_InternFromString("is_neg");
  const Python &py = python();
  PyObject *answers[] = {py.PyObject_GetAttr(tensor, gradient),
                         py.PyObject_CallMethodObjArgs(tensor, negative, nullptr)};
  bool plain = true;
  for (PyObject *answer : answers) {
    plain = plain && answer == py.no;
    if (answer)
      py.Py_DecRef(answer);
    else
      py.PyErr_Clear();
  }
  return plain;
}

bool readTensor(const Spec &spec, const TensorType &type, PyObject *object, std::int64_t *words) {
  DLTensor tensor;
  if (!isPlain(object))
    return false;
  if (type.api->tensorFromObject(object, &tensor) != 0) {
    python().PyErr_Clear();
    return false;
  }
  bool onHost = tensor.device.type == 1 || tensor.device.type == 3; // kDLCPU, kDLCUDAHost
  return onHost && dtypeFits(spec, tensor) &&
         describe(spec, static_cast<char *>(tensor.data) + tensor.byteOffset, tensor.shape, tensor.strides,
                  spec.itemSize, words);
}

bool readNumber(const Spec &spec, PyObject *object, void *slot) {
  const Python &py = python();
  if (spec.kind == 'f') {
    double number = py.PyFloat_AsDouble(object);
    float narrow = static_cast<float>(number);
    std::memcpy(slot, spec.itemSize == 8 ? static_cast<void *>(&number) : &narrow, spec.itemSize);
    return number != -1.0 || !py.PyErr_Occurred() || (py.PyErr_Clear(), false);
  }
  long long number = py.PyLong_AsLongLong(object);
  if (number == -1 && py.PyErr_Occurred())
    return py.PyErr_Clear(), false;
  std::int64_t bits = spec.kind == '?' ? 1 : spec.itemSize * 8;
  if (bits < 64 && (number < (spec.kind == '?' ? 0 : -(1LL << (bits - 1))) || number >= 1LL << bits))
    return false;
  std::memcpy(slot, &number, spec.itemSize);
  return true;
}

/// Raises Python's MemoryError; null, as functions that raise return.
PyObject *raiseMemoryError(std::size_t missing) {
  char text[256];
  std::snprintf(text, sizeof text,
                "a kernel asked for %zu bytes in one piece, for a result or what it works with, and there is no memory "
                "for them\n  hint: drop arrays, of which pith holds %lld bytes, or compute fewer rows at a time",
                missing, static_cast<long long>(pith_live_bytes()));
  python().PyErr_SetString(*python().PyExc_MemoryError, text);
  return nullptr;
}

/// The arguments of one call, and the buffers held while it runs.
class Call {
public:
  explicit Call(const Plan &plan) : plan_(plan) {}
  ~Call() {
    for (int i = 0; i < bufferCount_; ++i)
      python().PyBuffer_Release(&buffers_[i]);
  }
  Call(const Call &) = delete;
  Call &operator=(const Call &) = delete;

  bool read(PyObject *const *objects) {
    std::int64_t *next = words_;
    for (std::size_t i = 0; i < plan_.arguments.size(); ++i) {
      const Spec &spec = plan_.arguments[i];
      if (!(spec.memref ? readArray(spec, objects[i], next) : readNumber(spec, objects[i], next)))
        return false;
      pointers_[i] = next;
      if (spec.memref)
        addresses_[addressCount_++] = next[1];
      next += spec.memref ? 3 + 2 * spec.rank() : 1;
    }
    return true;
  }

  PyObject *run() {
    const Python &py = python();
    std::vector<char> block; // the result struct, then the addresses of the memref arguments
    if (plan_.resultBytes)
      block.resize(static_cast<std::size_t>(plan_.resultBytes) + addressCount_ * 8);
    void *blockPointer = block.data();
    std::int64_t number = 0;
    void *packed[kMaxArguments + 2];
    int count = 0;
    if (plan_.resultBytes)
      packed[count++] = &blockPointer;
    for (std::size_t i = 0; i < plan_.arguments.size(); ++i)
      packed[count++] = plan_.arguments[i].memref ? static_cast<void *>(&pointers_[i]) : pointers_[i];
    packed[count] = &number;
    void *state = py.PyEval_SaveThread();
    std::size_t missing = runKernel(plan_.entry, packed);
    py.PyEval_RestoreThread(state);
    if (missing)
      return raiseMemoryError(missing);
    if (!plan_.resultBytes)
      return plan_.results.empty() ? py.share(py.none) : toPython(plan_.results[0], number);
    if (canMakeArrays() && ownTheirMemory(plan_.results, block.data(), addresses_, addressCount_))
      return toPython(plan_.results, plan_.dtypes, block.data());
    std::memcpy(block.data() + plan_.resultBytes, addresses_, addressCount_ * 8);
    return py.PyBytes_FromStringAndSize(block.data(), static_cast<Py_ssize_t>(block.size()));
  }

private:
  bool readArray(const Spec &spec, PyObject *object, std::int64_t *words) {
    if (const TensorType *type = tensorTypeOf(object))
      return readTensor(spec, *type, object, words);
    if (maySayMore(object))
      return false;
    Py_buffer &buffer = buffers_[bufferCount_];
    if (python().PyObject_GetBuffer(object, &buffer, kBufferFormat | kBufferStrides) != 0) {
      python().PyErr_Clear();
      return false;
    }
    ++bufferCount_;
    return formatFits(spec, buffer) && describe(spec, buffer.buf, buffer.shape, buffer.strides, 1, words);
  }

  const Plan &plan_;
  std::int64_t words_[kMaxWords];
  void *pointers_[kMaxArguments];
  std::int64_t addresses_[kMaxArguments];
  Py_buffer buffers_[kMaxArguments];
  std::size_t addressCount_ = 0;
  int bufferCount_ = 0;
};

constexpr const char *kCapsule = "pith.plan";

PyObject *callFast(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  const Python &py = python();
  const auto &plan = *static_cast<const Plan *>(py.PyCapsule_GetPointer(self, kCapsule));
  if (count == static_cast<Py_ssize_t>(plan.arguments.size())) {
    Call call(plan);
    if (call.read(arguments))
      return call.run();
  }
  return py.share(py.notImplemented);
}

void deletePlan(PyObject *capsule) { delete static_cast<Plan *>(python().PyCapsule_GetPointer(capsule, kCapsule)); }

/// Words of one spec: is memref, kind, item size, writable, strided, rank, sizes.
Spec readSpec(const std::int64_t *&words) {
  Spec spec{words[0] != 0, static_cast<char>(words[1]), words[2], words[3] != 0, words[4] != 0, {}};
  spec.shape.assign(words + 6, words + 6 + words[5]);
  words += 6 + words[5];
  return spec;
}

} // namespace

/// A Python function (new reference) that calls `entry`, a packed wrapper as ExecutionEngine makes; None when
/// the signature or the interpreter does not allow the fast path. `specs`: the arguments, then the results, of which
/// the arrays have `dtypes`.
PITH_EXPORT PyObject *pith_fast_function(void (*entry)(void **), const std::int64_t *specs, std::int64_t arguments,
                                         std::int64_t results, std::int64_t resultBytes, PyObject *const *dtypes) {
  static PyMethodDef method{"call", callFast, kMethodFast, nullptr};
  const Python &py = python();
  auto plan = std::make_unique<Plan>();
  std::int64_t words = 0, highest = 0;
  plan->entry = entry;
  plan->resultBytes = resultBytes;
  for (std::int64_t i = 0; i < arguments; ++i) {
    plan->arguments.push_back(readSpec(specs));
    words += 3 + 2 * plan->arguments.back().rank();
  }
  for (std::int64_t i = 0; i < results; ++i) {
    plan->results.push_back(readSpec(specs));
    highest = std::max(highest, plan->results.back().rank());
    if (plan->results.back().memref)
      plan->dtypes.push_back(py.share(*dtypes++));
  }
  if (arguments > kMaxArguments || words > kMaxWords || highest > kMaxRank)
    return py.share(py.none);
  PyObject *capsule = py.PyCapsule_New(plan.release(), kCapsule, deletePlan);
  PyObject *function = capsule ? py.PyCFunction_NewEx(&method, capsule, nullptr) : nullptr;
  if (capsule)
    py.Py_DecRef(capsule);
  return function;
}

/// 1 when the running interpreter has everything the fast path needs.
PITH_EXPORT int pith_fast_available() { return python().complete; }

/// Lets the fast path read torch tensors of exactly this type through DLPack. Call with the interpreter lock held.
PITH_EXPORT void pith_register_tensor_type(PyObject *type, const DLPackExchangeAPI *api) {
  bool usable = api->header.major == 1 && api->tensorFromObject && tensorTypeCount < kMaxTypes;
  for (int i = 0; i < tensorTypeCount; ++i)
    usable = usable && tensorTypes[i].type != type;
  if (usable)
    tensorTypes[tensorTypeCount++] = {python().share(type), api};
}
