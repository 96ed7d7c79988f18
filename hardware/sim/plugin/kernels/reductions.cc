// Sums and means over some or all axes, and their gradients.
#include "kernels.h"
#include "paddle/phi/common/int_array.h"

namespace sim {
namespace {

// The shape that is left, with 1 for each axis that is summed over. No axes: all of them.
phi::DDim Reduced(const phi::DDim& shape, const std::vector<int64_t>& axes, bool all) {
  std::vector<int64_t> dims = phi::vectorize(shape);
  for (int64_t axis : axes) dims[axis < 0 ? axis + shape.size() : axis] = 1;
  if (all || axes.empty()) std::fill(dims.begin(), dims.end(), 1);
  return phi::make_ddim(dims);
}

template <typename T, typename Context>
void SumOver(const Context& ctx, const phi::DenseTensor& x, const phi::IntArray& axes, bool mean,
             phi::DenseTensor* out) {
  const phi::DDim shape = Reduced(x.dims(), axes.GetData(), false);
  const double scale = mean ? static_cast<double>(phi::product(shape)) / static_cast<double>(x.numel()) : 1;
  const T* from = x.data<T>();
  T* result = ctx.template Alloc<T>(out);
  SumInto(result, shape, x.dims(), [from](int64_t i) { return from[i]; });
  if (mean) {
    for (int64_t i = 0; i < out->numel(); ++i) result[i] = static_cast<T>(result[i] * scale);
  }
}

template <typename T, typename Context>
void SpreadOver(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& dout, const phi::IntArray& axes,
                bool all, bool mean, phi::DenseTensor* dx) {
  const phi::DDim shape = Reduced(x.dims(), axes.GetData(), all);
  const T scale = mean ? T(phi::product(shape)) / T(x.numel()) : T(1);
  T* result = ctx.template Alloc<T>(dx);
  const T* d = dout.data<T>();
  const Walk<2> walk({x.dims(), shape});
  walk.ForEachRow([&](const std::array<int64_t, 2>& at, int64_t length) {
    const int64_t step = walk.steps[0][1];
    for (int64_t i = 0; i < length; ++i) result[at[0] + i] = scale * d[at[1] + i * step];
  });
}

}  // namespace

template <typename T, typename Context>
void Sum(const Context& ctx, const phi::DenseTensor& x, const phi::IntArray& axes, phi::DataType type, bool,
         phi::DenseTensor* out) {
  PADDLE_ENFORCE_EQ(type == phi::DataType::UNDEFINED || type == x.dtype(), true,
                    phi::errors::Unimplemented("The simulated card sums into the type of its input only."));
  SumOver<T>(ctx, x, axes, false, out);
}

template <typename T, typename Context>
void Mean(const Context& ctx, const phi::DenseTensor& x, const phi::IntArray& axes, bool, phi::DenseTensor* out) {
  SumOver<T>(ctx, x, axes, true, out);
}

template <typename T, typename Context>
void MeanAll(const Context& ctx, const phi::DenseTensor& x, phi::DenseTensor* out) {
  SumOver<T>(ctx, x, phi::IntArray(), true, out);
}

template <typename T, typename Context>
void SumGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& dout, const phi::IntArray& axes,
             bool, bool all, phi::DenseTensor* dx) {
  SpreadOver<T>(ctx, x, dout, axes, all, false, dx);
}

template <typename T, typename Context>
void MeanGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& dout, const phi::IntArray& axes,
              bool, bool all, phi::DenseTensor* dx) {
  SpreadOver<T>(ctx, x, dout, axes, all, true, dx);
}

template <typename T, typename Context>
void MeanAllGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& dout, phi::DenseTensor* dx) {
  SpreadOver<T>(ctx, x, dout, phi::IntArray(), true, true, dx);
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(sum, sim, ALL_LAYOUT, sim::Sum, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(sum_grad, sim, ALL_LAYOUT, sim::SumGrad, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(mean, sim, ALL_LAYOUT, sim::Mean, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(mean_grad, sim, ALL_LAYOUT, sim::MeanGrad, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(mean_all, sim, ALL_LAYOUT, sim::MeanAll, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(mean_all_grad, sim, ALL_LAYOUT, sim::MeanAllGrad, float, double) {}
