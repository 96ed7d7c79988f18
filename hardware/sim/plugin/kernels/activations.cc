// Functions of one number, and their gradients.
#include "kernels.h"

namespace sim {
namespace {

template <typename T, typename Context, typename Function>
void Map(const Context& ctx, const phi::DenseTensor& x, phi::DenseTensor* out, Function function) {
  T* result = ctx.template Alloc<T>(out);
  const T* from = x.data<T>();
  for (int64_t i = 0, count = x.numel(); i < count; ++i) result[i] = function(from[i]);
}

// A gradient from what the forward pass kept (its input or its output) and the gradient that comes in.
template <typename T, typename Context, typename Function>
void MapGrad(const Context& ctx, const phi::DenseTensor& kept, const phi::DenseTensor& dout, phi::DenseTensor* dx,
             Function function) {
  T* result = ctx.template Alloc<T>(dx);
  const T *from = kept.data<T>(), *d = dout.data<T>();
  for (int64_t i = 0, count = kept.numel(); i < count; ++i) result[i] = function(from[i], d[i]);
}

// The normal distribution, for GELU: x times the probability of less than x.
template <typename T>
T Probability(T x) {
  return T(0.5) * (T(1) + std::erf(x * T(0.70710678118654752440)));  // 1 / sqrt(2)
}
template <typename T>
T Density(T x) {
  return T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);  // 1 / sqrt(2 pi)
}

// The usual approximation of GELU by tanh, as 1 / (1 + exp(-2 u)) = (1 + tanh(u)) / 2.
template <typename T>
T Smooth(T x) {
  return T(1) / (T(1) + std::exp(T(-1.59576912160573071176) * (x + T(0.044715) * x * x * x)));  // sqrt(8 / pi)
}
template <typename T>
T Sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

}  // namespace

#define SIM_FUNCTION(Name, expression)                                                  \
  template <typename T, typename Context>                                               \
  void Name(const Context& ctx, const phi::DenseTensor& in, phi::DenseTensor* out) {    \
    Map<T>(ctx, in, out, [](T x) -> T { return expression; });                          \
  }

#define SIM_GRADIENT(Name, expression)                                                                              \
  template <typename T, typename Context>                                                                           \
  void Name(const Context& ctx, const phi::DenseTensor& kept, const phi::DenseTensor& dout, phi::DenseTensor* dx) { \
    MapGrad<T>(ctx, kept, dout, dx, [](T y, T d) -> T { return expression; });                                      \
  }

SIM_FUNCTION(Tanh, std::tanh(x))
SIM_GRADIENT(TanhGrad, d*(T(1) - y * y))  // y: the output
SIM_FUNCTION(Relu, x > T(0) || x != x ? x : T(0))
SIM_GRADIENT(ReluGrad, y > T(0) ? d : T(0))  // y: the output
SIM_FUNCTION(SigmoidForward, Sigmoid(x))
SIM_GRADIENT(SigmoidGrad, d* y*(T(1) - y))  // y: the output
SIM_FUNCTION(Square, x* x)
SIM_GRADIENT(SquareGrad, T(2) * y * d)  // y: the input
SIM_FUNCTION(Exp, std::exp(x))
SIM_GRADIENT(ExpGrad, d* y)  // y: the output
SIM_FUNCTION(Swish, x* Sigmoid(x))
SIM_GRADIENT(SwishGrad, d*(Sigmoid(y) * (T(1) + y * (T(1) - Sigmoid(y)))))  // y: the input

template <typename T, typename Context>
void Gelu(const Context& ctx, const phi::DenseTensor& in, bool approximate, phi::DenseTensor* out) {
  if (approximate) return Map<T>(ctx, in, out, [](T x) { return x * Smooth(x); });
  Map<T>(ctx, in, out, [](T x) { return x * Probability(x); });
}

template <typename T, typename Context>
void GeluGrad(const Context& ctx, const phi::DenseTensor& in, const phi::DenseTensor& dout, bool approximate,
              phi::DenseTensor* dx) {
  if (approximate) {
    return MapGrad<T>(ctx, in, dout, dx, [](T x, T d) {
      const T s = Smooth(x), slope = T(1.59576912160573071176) * (T(1) + T(3 * 0.044715) * x * x);
      return d * (s + x * s * (T(1) - s) * slope);
    });
  }
  MapGrad<T>(ctx, in, dout, dx, [](T x, T d) { return d * (Probability(x) + x * Density(x)); });
}

// out = scale x + bias, or scale (x + bias)
template <typename T, typename Context>
void Scale(const Context& ctx, const phi::DenseTensor& in, const phi::Scalar& scale, const phi::Scalar& bias,
           bool bias_after_scale, phi::DenseTensor* out) {
  const T factor = scale.to<T>(), term = bias_after_scale ? bias.to<T>() : factor * bias.to<T>();
  Map<T>(ctx, in, out, [factor, term](T x) { return factor * x + term; });
}

}  // namespace sim

#define REGISTER(name, Function) PD_REGISTER_PLUGIN_KERNEL(name, sim, ALL_LAYOUT, sim::Function, float, double) {}

REGISTER(tanh, Tanh)
REGISTER(tanh_grad, TanhGrad)
REGISTER(relu, Relu)
REGISTER(relu_grad, ReluGrad)
REGISTER(sigmoid, SigmoidForward)
REGISTER(sigmoid_grad, SigmoidGrad)
REGISTER(square, Square)
REGISTER(square_grad, SquareGrad)
REGISTER(exp, Exp)
REGISTER(exp_grad, ExpGrad)
REGISTER(swish, Swish)
REGISTER(swish_grad, SwishGrad)
REGISTER(gelu, Gelu)
REGISTER(gelu_grad, GeluGrad)
REGISTER(scale, Scale)
