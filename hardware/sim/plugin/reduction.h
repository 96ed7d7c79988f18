// The arithmetic of all_reduce, reduce and reduce_scatter.
#pragma once

#include <cstddef>

#include "paddle/phi/backends/device_ext.h"

namespace sim {

size_t SizeOf(C_DataType type);

// target[i] = op over all sources of source[i]. The target may be one of the sources.
// Throws Failure for an operation that the type does not have, such as the larger of two complex numbers.
void Reduce(C_CCLReduceOp op, C_DataType type, size_t count, char* const* sources, size_t number, char* target);

}  // namespace sim
