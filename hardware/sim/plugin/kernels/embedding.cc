// The gradient of embedding. Paddle's own function for it (embedding_grad_impl, written by hand) does go to the CPU's
// kernel where a device has none, but does not bring the result back: the gradient would lie on the CPU.
#include "kernels.h"

namespace sim {
namespace {

// Row i of the gradient that comes in belongs to row ids[i] of the table; rows taken twice add up.
template <typename T, typename Id>
void ScatterRows(const phi::DenseTensor& ids, const T* rows, int64_t padding, int64_t width, T* table) {
  const Id* id = ids.data<Id>();
  for (int64_t i = 0, count = ids.numel(); i < count; ++i) {
    if (id[i] == padding) continue;
    for (int64_t j = 0; j < width; ++j) table[id[i] * width + j] += rows[i * width + j];
  }
}

}  // namespace

template <typename T, typename Context>
void EmbeddingGrad(const Context& ctx, const phi::DenseTensor& ids, const phi::DenseTensor& weight,
                   const phi::DenseTensor& dout, int64_t padding, phi::DenseTensor* dweight) {
  T* table = ctx.template Alloc<T>(dweight);
  std::fill_n(table, weight.numel(), T(0));
  const int64_t width = weight.dims()[1];
  if (ids.dtype() == phi::DataType::INT64) {
    ScatterRows<T, int64_t>(ids, dout.data<T>(), padding, width, table);
  } else if (ids.dtype() == phi::DataType::INT32) {
    ScatterRows<T, int32_t>(ids, dout.data<T>(), padding, width, table);
  } else {
    PADDLE_THROW(phi::errors::Unimplemented("The simulated card takes int32 and int64 as numbers of rows."));
  }
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(embedding_grad, sim, ALL_LAYOUT, sim::EmbeddingGrad, float, double) {}
