// One step of AdamW.
#include "kernels.h"

namespace sim {
namespace {

// The powers of the betas lie on the host in some programs and on the card in others: both are host memory here.
template <typename T, typename Context>
T Power(const Context& ctx, const phi::DenseTensor& before, T beta, bool global, phi::DenseTensor* after) {
  const T power = *static_cast<const T*>(before.data());
  if (!global) {
    T* next = before.place() == ctx.GetPlace() ? ctx.template Alloc<T>(after) : ctx.template HostAlloc<T>(after);
    *next = power * beta;
  }
  return power;
}

}  // namespace

template <typename T, typename Context>
void AdamW(const Context& ctx, const phi::DenseTensor& weights, const phi::DenseTensor& gradient,
           const phi::DenseTensor& learning_rate, const phi::DenseTensor& moment1, const phi::DenseTensor& moment2,
           const paddle::optional<phi::DenseTensor>&, const phi::DenseTensor& power1, const phi::DenseTensor& power2,
           const paddle::optional<phi::DenseTensor>&, const paddle::optional<phi::DenseTensor>& skip,
           const phi::Scalar& beta1, const phi::Scalar& beta2, const phi::Scalar& epsilon, float rate_ratio,
           float decay, bool with_decay, bool, int64_t, bool multi_precision, bool global_powers, bool amsgrad,
           phi::DenseTensor* weights_out, phi::DenseTensor* moment1_out, phi::DenseTensor* moment2_out,
           phi::DenseTensor*, phi::DenseTensor* power1_out, phi::DenseTensor* power2_out, phi::DenseTensor*) {
  const bool simple = !amsgrad && !multi_precision && !(skip && *static_cast<const bool*>(skip->data()));
  PADDLE_ENFORCE_EQ(simple, true,
                    phi::errors::Unimplemented("AdamW on a simulated card: no amsgrad, no master weights, no skipping. "
                                               "SIM_MISSING_KERNELS=adamw takes the CPU's kernel instead."));
  const T b1 = beta1.to<T>(), b2 = beta2.to<T>(), tiny = epsilon.to<T>();
  const T rate = *static_cast<const T*>(learning_rate.data()) * T(rate_ratio);
  const T p1 = Power<T>(ctx, power1, b1, global_powers, power1_out);
  const T p2 = Power<T>(ctx, power2, b2, global_powers, power2_out);
  const T keep = with_decay ? T(1) - rate * T(decay) : T(1), scale = std::sqrt(T(1) - p2);
  const T step = rate * scale / (T(1) - p1), floor = tiny * scale;
  const T *w = weights.data<T>(), *g = gradient.data<T>(), *m = moment1.data<T>(), *v = moment2.data<T>();
  T* new_w = ctx.template Alloc<T>(weights_out);
  T* new_m = ctx.template Alloc<T>(moment1_out);
  T* new_v = ctx.template Alloc<T>(moment2_out);
  for (int64_t i = 0, count = weights.numel(); i < count; ++i) {
    const T mean = b1 * m[i] + (T(1) - b1) * g[i];
    const T square = b2 * v[i] + (T(1) - b2) * g[i] * g[i];
    new_m[i] = mean;
    new_v[i] = square;
    new_w[i] = keep * w[i] - step * mean / (std::sqrt(square) + floor);
  }
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(adamw, sim, ALL_LAYOUT, sim::AdamW, float, double) {
  // The powers and `skip` stay where they are: without this Paddle would copy them to the card.
  kernel->InputAt(6).SetBackend(phi::Backend::ALL_BACKEND);
  kernel->InputAt(7).SetBackend(phi::Backend::ALL_BACKEND);
  kernel->InputAt(9).SetBackend(phi::Backend::ALL_BACKEND);
  kernel->OutputAt(4).SetBackend(phi::Backend::UNDEFINED);
  kernel->OutputAt(5).SetBackend(phi::Backend::UNDEFINED);
}
