// Sums, differences, products and quotients of two tensors, with broadcasting, and their gradients.
#include "kernels.h"

namespace sim {
namespace {

template <typename T, typename Context, typename Function>
void Combine(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, phi::DenseTensor* out,
             Function function) {
  T* result = ctx.template Alloc<T>(out);
  const T *a = x.data<T>(), *b = y.data<T>();
  const Walk<3> walk({out->dims(), x.dims(), y.dims()});
  const auto step = walk.steps[0];
  walk.ForEachRow([&](const std::array<int64_t, 3>& at, int64_t length) {
    T* r = result + at[0];
    const T *p = a + at[1], *q = b + at[2];
    if (step[1] == 1 && step[2] == 1) {
      for (int64_t i = 0; i < length; ++i) r[i] = function(p[i], q[i]);
    } else if (step[1] == 1) {
      for (int64_t i = 0; i < length; ++i) r[i] = function(p[i], *q);
    } else {
      for (int64_t i = 0; i < length; ++i) r[i] = function(*p, q[i * step[2]]);
    }
  });
}

// Where element i of the full shape lies in a tensor that may be broadcast to it: a copy in the full shape if so.
template <typename T>
class Spread {
 public:
  Spread(const phi::DenseTensor& tensor, const phi::DDim& full) : data_(tensor.data<T>()) {
    if (tensor.numel() == phi::product(full)) return;
    copy_.resize(static_cast<size_t>(phi::product(full)));
    const Walk<2> walk({full, tensor.dims()});
    walk.ForEachRow([&](const std::array<int64_t, 2>& at, int64_t length) {
      for (int64_t i = 0; i < length; ++i) copy_[at[0] + i] = data_[at[1] + i * walk.steps[0][1]];
    });
    data_ = copy_.data();
  }
  T operator[](int64_t i) const { return data_[i]; }

 private:
  const T* data_;
  std::vector<T> copy_;
};

// One gradient: `value` gives it in the full shape, and it is summed to the shape of the tensor that it belongs to.
template <typename T, typename Context, typename Value>
void Gradient(const Context& ctx, const phi::DenseTensor& of, const phi::DDim& full, phi::DenseTensor* out,
              Value value) {
  if (out == nullptr) return;  // nobody asked for it
  out->Resize(of.dims());
  SumInto(ctx.template Alloc<T>(out), of.dims(), full, value);
}

}  // namespace

template <typename T, typename Context>
void Add(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, phi::DenseTensor* out) {
  Combine<T>(ctx, x, y, out, [](T a, T b) { return a + b; });
}

template <typename T, typename Context>
void Subtract(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, phi::DenseTensor* out) {
  Combine<T>(ctx, x, y, out, [](T a, T b) { return a - b; });
}

template <typename T, typename Context>
void Multiply(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, phi::DenseTensor* out) {
  Combine<T>(ctx, x, y, out, [](T a, T b) { return a * b; });
}

template <typename T, typename Context>
void Divide(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, phi::DenseTensor* out) {
  Combine<T>(ctx, x, y, out, [](T a, T b) { return a / b; });
}

template <typename T, typename Context>
void AddGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, const phi::DenseTensor& dout,
             int, phi::DenseTensor* dx, phi::DenseTensor* dy) {
  const T* d = dout.data<T>();
  // dx last: Paddle may let it take over the memory of dout.
  Gradient<T>(ctx, y, dout.dims(), dy, [d](int64_t i) { return d[i]; });
  Gradient<T>(ctx, x, dout.dims(), dx, [d](int64_t i) { return d[i]; });
}

template <typename T, typename Context>
void SubtractGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y,
                  const phi::DenseTensor& dout, int, phi::DenseTensor* dx, phi::DenseTensor* dy) {
  const T* d = dout.data<T>();
  Gradient<T>(ctx, y, dout.dims(), dy, [d](int64_t i) { return -d[i]; });
  Gradient<T>(ctx, x, dout.dims(), dx, [d](int64_t i) { return d[i]; });
}

template <typename T, typename Context>
void MultiplyGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y,
                  const phi::DenseTensor& dout, int, phi::DenseTensor* dx, phi::DenseTensor* dy) {
  const Spread<T> a(x, dout.dims()), b(y, dout.dims());
  const T* d = dout.data<T>();
  Gradient<T>(ctx, x, dout.dims(), dx, [&](int64_t i) { return d[i] * b[i]; });
  Gradient<T>(ctx, y, dout.dims(), dy, [&](int64_t i) { return d[i] * a[i]; });
}

template <typename T, typename Context>
void DivideGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, const phi::DenseTensor& out,
                const phi::DenseTensor& dout, int, phi::DenseTensor* dx, phi::DenseTensor* dy) {
  const Spread<T> b(y, dout.dims());
  const T* quotient = out.data<T>();
  const T* d = dout.data<T>();
  Gradient<T>(ctx, y, dout.dims(), dy, [&](int64_t i) { return -d[i] * quotient[i] / b[i]; });
  Gradient<T>(ctx, x, dout.dims(), dx, [&](int64_t i) { return d[i] / b[i]; });
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(add, sim, ALL_LAYOUT, sim::Add, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(subtract, sim, ALL_LAYOUT, sim::Subtract, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(multiply, sim, ALL_LAYOUT, sim::Multiply, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(divide, sim, ALL_LAYOUT, sim::Divide, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(add_grad, sim, ALL_LAYOUT, sim::AddGrad, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(subtract_grad, sim, ALL_LAYOUT, sim::SubtractGrad, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(multiply_grad, sim, ALL_LAYOUT, sim::MultiplyGrad, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(divide_grad, sim, ALL_LAYOUT, sim::DivideGrad, float, double) {}
