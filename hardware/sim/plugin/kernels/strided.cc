// contiguous, strided_copy and fill: between tensors that are views into others and tensors that lie in one piece. They
// are the kernels for which Paddle has no way round: without them x.t() + 1, or the gradient of a view, is an error on a
// custom device.
#include "kernels.h"

namespace sim {
namespace {

// Call visit(i, offset) for every element in row-major order: its number, and where it lies.
template <typename Visit>
void ForEachElement(const phi::DDim& dims, const phi::DDim& strides, Visit visit) {
  const int rank = dims.size();
  const int64_t total = phi::product(dims);
  std::vector<int64_t> index(rank, 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < total; ++i) {
    visit(i, offset);
    for (int axis = rank - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < dims[axis]) break;
      offset -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

template <typename T, typename Context>
void Contiguous(const Context& ctx, const phi::DenseTensor& input, phi::DenseTensor* output) {
  phi::DenseTensorMeta meta = input.meta();
  meta.strides = phi::DenseTensorMeta::calc_strides(meta.dims);
  meta.offset = 0;
  output->set_meta(meta);
  T* to = ctx.template Alloc<T>(output);
  const T* from = input.data<T>();
  ForEachElement(input.dims(), input.strides(), [&](int64_t i, int64_t offset) { to[i] = from[offset]; });
}

// Writes into a view of `output`, which is there already: this is how x[1:3] = y is done.
template <typename T, typename Context>
void StridedCopy(const Context&, const phi::DenseTensor& input, const std::vector<int64_t>& dims,
                 const std::vector<int64_t>& strides, int64_t offset, phi::DenseTensor* output) {
  phi::DenseTensorMeta meta = input.meta();
  meta.dims = phi::make_ddim(dims);
  meta.strides = phi::make_ddim(strides);
  meta.offset = offset;
  output->set_meta(meta);
  const T* from = input.data<T>();
  T* to = output->data<T>();
  std::vector<T> values(static_cast<size_t>(input.numel()));  // both sides may be views of the same memory
  ForEachElement(input.dims(), input.strides(), [&](int64_t i, int64_t place) { values[i] = from[place]; });
  ForEachElement(meta.dims, meta.strides, [&](int64_t i, int64_t place) { to[place] = values[i]; });
}

// One number everywhere, in a tensor that may be a view: a gradient begins as zeros.
template <typename T, typename Context>
void Fill(const Context& ctx, const phi::DenseTensor&, const phi::Scalar& value, phi::DenseTensor* output) {
  T* to = ctx.template Alloc<T>(output);
  const T number = value.to<T>();
  ForEachElement(output->dims(), output->strides(), [&](int64_t, int64_t place) { to[place] = number; });
}

}  // namespace sim

#define ALL_TYPES                                                                                                 \
  bool, uint8_t, int8_t, int16_t, int, int64_t, float, double, phi::dtype::float16, phi::dtype::bfloat16,         \
      phi::dtype::complex<float>, phi::dtype::complex<double>

PD_REGISTER_PLUGIN_KERNEL(contiguous, sim, ALL_LAYOUT, sim::Contiguous, ALL_TYPES) {}
PD_REGISTER_PLUGIN_KERNEL(strided_copy, sim, ALL_LAYOUT, sim::StridedCopy, ALL_TYPES) {}
PD_REGISTER_PLUGIN_KERNEL(fill, sim, ALL_LAYOUT, sim::Fill, ALL_TYPES) {}
