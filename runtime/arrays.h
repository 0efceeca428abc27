// NumPy arrays made from C++, through NumPy's table of C functions.
#pragma once
#include "python_abi.h"

namespace pith {

/// True once NumPy's functions are known.
bool canMakeArrays();

/// True for what is no array of NumPy's own type: what memory a masked array shows is not all it says.
bool maySayMore(PyObject *object);

/// An array of `dtype` (borrowed) over `data`, a part of the `allocated` block, which is freed with the last array on
/// it, or when this fails. Strides are in bytes. New reference; null with an exception set.
PyObject *makeArray(PyObject *dtype, std::int64_t rank, const std::int64_t *sizes, const std::int64_t *strides,
                    void *data, void *allocated);

} // namespace pith
