// The gradient of concat. Under to_static Paddle frees concat's inputs, of which the gradient needs the shapes alone, and
// copies them to the CPU all the same where a device has no kernel for it.
#include "kernels.h"

namespace sim {

template <typename T, typename Context>
void ConcatGrad(const Context& ctx, const std::vector<const phi::DenseTensor*>& inputs, const phi::DenseTensor& dout,
                const phi::Scalar& axis, std::vector<phi::DenseTensor*> gradients) {
  const auto& dims = dout.dims();
  const int at = axis.to<int>() < 0 ? axis.to<int>() + dims.size() : axis.to<int>();
  int64_t rows = 1;  // the numbers of all axes before; behind them each input has its share of a row
  for (int i = 0; i < at; ++i) rows *= dims[i];
  const int64_t width = rows == 0 ? 0 : dout.numel() / rows;
  const T* from = dout.data<T>();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const int64_t share = rows == 0 ? 0 : inputs[i]->numel() / rows;
    if (gradients[i] != nullptr) {
      T* to = ctx.template Alloc<T>(gradients[i]);
      for (int64_t row = 0; row < rows; ++row) std::copy_n(from + row * width, share, to + row * share);
    }
    from += share;
  }
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(concat_grad, sim, ALL_LAYOUT, sim::ConcatGrad, float, double) {}
