// What all kernels need: Paddle's registration, and loops over tensors of different shapes.
//
// A kernel is a function template over the element type and the device's context; PD_REGISTER_PLUGIN_KERNEL at the end
// of a file tells Paddle its name and for which types it is there. Arguments and their order are those of Paddle's own
// kernel of that name (paddle/phi/kernels/*.h). Tensors that arrive lie in one piece: Paddle calls `contiguous` before.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "paddle/phi/backends/all_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "paddle/phi/core/kernel_registry.h"

namespace sim {

// The common shape of N tensors under broadcasting, and how far each of them moves along every axis: 0 where its one
// element serves for all. Neighbouring axes that can be walked as one are merged, so that the inner loop is long.
template <size_t N>
struct Walk {
  std::vector<int64_t> dims;
  std::vector<std::array<int64_t, N>> steps;

  explicit Walk(const std::array<phi::DDim, N>& shapes) {
    int rank = 0;
    for (const auto& shape : shapes) rank = std::max(rank, shape.size());
    std::array<int64_t, N> next;
    next.fill(1);
    for (int axis = 0; axis < rank; ++axis) {  // counted from the last
      int64_t size = 1;
      for (const auto& shape : shapes) {
        const int64_t own = axis < shape.size() ? shape[shape.size() - 1 - axis] : 1;
        if (own != 1) size = own;
      }
      if (size == 1) continue;
      std::array<int64_t, N> step;
      for (size_t n = 0; n < N; ++n) {
        const int size_n = shapes[n].size();
        const int64_t own = axis < size_n ? shapes[n][size_n - 1 - axis] : 1;
        step[n] = own == 1 ? 0 : next[n];
        next[n] *= own;
      }
      bool merges = !dims.empty();
      for (size_t n = 0; merges && n < N; ++n) merges = step[n] == steps.back()[n] * dims.back();
      if (merges) {
        dims.back() *= size;
      } else {
        dims.push_back(size);
        steps.push_back(step);
      }
    }
    if (dims.empty()) {
      dims.push_back(1);
      steps.emplace_back();
    }
  }

  // Call row(offsets, length) for every innermost row; inside it, tensor n moves by steps[0][n], which is 0 or 1.
  template <typename Row>
  void ForEachRow(Row row) const {
    for (int64_t size : dims) {
      if (size == 0) return;
    }
    std::array<int64_t, N> offsets{};
    std::vector<int64_t> index(dims.size(), 0);
    while (true) {
      row(offsets, dims[0]);
      size_t axis = 1;
      for (; axis < dims.size(); ++axis) {
        for (size_t n = 0; n < N; ++n) offsets[n] += steps[axis][n];
        if (++index[axis] < dims[axis]) break;
        for (size_t n = 0; n < N; ++n) offsets[n] -= steps[axis][n] * dims[axis];
        index[axis] = 0;
      }
      if (axis == dims.size()) return;
    }
  }
};

// target[...] = the sum of value(i) over all axes along which the target was broadcast to `full`, where i is the number
// of the element in the full shape. Sums are kept in double.
template <typename T, typename Value>
void SumInto(T* target, const phi::DDim& shape, const phi::DDim& full, Value value) {
  const int64_t count = phi::product(shape);
  if (count == phi::product(full)) {
    for (int64_t i = 0; i < count; ++i) target[i] = static_cast<T>(value(i));
    return;
  }
  std::vector<double> sums(static_cast<size_t>(count), 0.0);
  const Walk<2> walk({full, shape});
  const bool along = walk.steps[0][1] == 1;
  walk.ForEachRow([&](const std::array<int64_t, 2>& at, int64_t length) {
    if (along) {
      for (int64_t i = 0; i < length; ++i) sums[at[1] + i] += value(at[0] + i);
    } else {
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) sum += value(at[0] + i);
      sums[at[1]] += sum;
    }
  });
  for (int64_t i = 0; i < count; ++i) target[i] = static_cast<T>(sums[i]);
}

}  // namespace sim
