// Products of matrices, and of stacks of matrices, with their gradients.
#include <dlfcn.h>

#include <string>
#include <utility>

#include "kernels.h"

namespace sim {
namespace {

// The library of linear algebra that Paddle's wheel brings along, found beside Paddle's own. Its C interface is a
// standard (row-major 101; as it is 111, transposed 112). Where the wheel has another one, the loops below do the work.
void* Library() {
  static void* library = [] {
    Dl_info paddle{};
    dladdr(reinterpret_cast<void*>(&phi::KernelFactory::Instance), &paddle);
    const std::string path = paddle.dli_fname == nullptr ? "" : paddle.dli_fname;
    return dlopen((path.substr(0, path.rfind('/') + 1) + "libmklml_intel.so").c_str(), RTLD_LAZY);
  }();
  return library;
}

template <typename T>
using Product = void (*)(int, int, int, int, int, int, T, const T*, int, const T*, int, T, T*, int);

template <typename T>
Product<T> LibraryProduct() {
  static const auto product = reinterpret_cast<Product<T>>(
      Library() == nullptr ? nullptr : dlsym(Library(), sizeof(T) == 4 ? "cblas_sgemm" : "cblas_dgemm"));
  return product;
}

struct Matrix {
  int64_t rows, columns;  // as the product sees it
  bool transposed;        // whether it lies in memory the other way round
  int64_t width() const { return transposed ? rows : columns; }
  int64_t stride(int axis) const { return (axis == 0) == transposed ? 1 : width(); }
};

// c = a b, or c += a b
template <typename T>
void Multiply(const Matrix& am, const T* a, const Matrix& bm, const T* b, bool add, T* c) {
  const int64_t m = am.rows, k = am.columns, n = bm.columns;
  if (m == 0 || n == 0) return;
  if (k > 0 && LibraryProduct<T>() != nullptr) {
    const auto turn = [](const Matrix& matrix) { return matrix.transposed ? 112 : 111; };
    const auto width = [](const Matrix& matrix) { return static_cast<int>(std::max<int64_t>(1, matrix.width())); };
    return LibraryProduct<T>()(101, turn(am), turn(bm), static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                               T(1), a, width(am), b, width(bm), add ? T(1) : T(0), c, static_cast<int>(n));
  }
  for (int64_t i = 0; i < m; ++i) {
    if (!add) std::fill(c + i * n, c + (i + 1) * n, T(0));
    for (int64_t j = 0; j < k; ++j) {
      const T factor = a[i * am.stride(0) + j * am.stride(1)];
      for (int64_t l = 0; l < n; ++l) c[i * n + l] += factor * b[j * bm.stride(0) + l * bm.stride(1)];
    }
  }
}

// A tensor as a stack of matrices. A vector is a matrix with one row (on the left) or one column (on the right).
struct Stack {
  phi::DDim stack;  // the axes before the last two
  Matrix matrix;
  int64_t apart;    // elements from one matrix to the next

  Stack(const phi::DDim& dims, bool transposed, bool left) : stack(phi::make_ddim({})) {
    const int rank = dims.size();
    if (rank == 1) {
      matrix = left ? Matrix{1, dims[0], false} : Matrix{dims[0], 1, false};
    } else {
      matrix = {dims[rank - 2], dims[rank - 1], transposed};
      if (transposed) std::swap(matrix.rows, matrix.columns);
      stack = phi::slice_ddim(dims, 0, rank - 2);
    }
    apart = matrix.rows * matrix.columns;
  }
};

phi::DDim Common(const phi::DDim& x, const phi::DDim& y) {
  const int rank = std::max(x.size(), y.size());
  std::vector<int64_t> dims(rank, 1);
  for (const auto& shape : {x, y}) {
    for (int axis = 0; axis < shape.size(); ++axis) {
      int64_t& size = dims[rank - shape.size() + axis];
      if (shape[axis] != 1) size = shape[axis];
    }
  }
  return phi::make_ddim(dims);
}

Matrix Transposed(Matrix matrix) { return {matrix.columns, matrix.rows, !matrix.transposed}; }

// For each matrix of the common stack: visit(its number in the result, in x, in y).
template <typename Visit>
void ForEachPair(const Stack& x, const Stack& y, Visit visit) {
  const phi::DDim common = Common(x.stack, y.stack);
  const Walk<3> walk({common, x.stack, y.stack});
  walk.ForEachRow([&](const std::array<int64_t, 3>& at, int64_t length) {
    const auto& step = walk.steps[0];
    for (int64_t i = 0; i < length; ++i) visit(at[0] + i * step[0], at[1] + i * step[1], at[2] + i * step[2]);
  });
}

// A stack on the left with one matrix on the right is one tall matrix.
bool IsTall(const Stack& x, const Stack& y) { return !x.matrix.transposed && phi::product(y.stack) == 1; }

void MakeTall(Stack* x) {
  x->matrix.rows *= phi::product(x->stack);
  x->stack = phi::make_ddim({});
}

}  // namespace

template <typename T, typename Context>
void Matmul(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, bool transpose_x,
            bool transpose_y, phi::DenseTensor* out) {
  Stack a(x.dims(), transpose_x, true), b(y.dims(), transpose_y, false);
  T* result = ctx.template Alloc<T>(out);
  if (IsTall(a, b)) MakeTall(&a);
  const int64_t size = a.matrix.rows * b.matrix.columns;
  ForEachPair(a, b, [&](int64_t r, int64_t p, int64_t q) {
    Multiply(a.matrix, x.data<T>() + p * a.apart, b.matrix, y.data<T>() + q * b.apart, false,
             result + r * size);
  });
}

// With out = A B: dA = dout Bᵀ and dB = Aᵀ dout. A factor that lies transposed in memory gets its gradient transposed
// too; one that was broadcast gets the sum over its uses.
template <typename T, typename Context>
void MatmulGrad(const Context& ctx, const phi::DenseTensor& x, const phi::DenseTensor& y, const phi::DenseTensor& dout,
                bool transpose_x, bool transpose_y, phi::DenseTensor* dx, phi::DenseTensor* dy) {
  Stack a(x.dims(), transpose_x, true), b(y.dims(), transpose_y, false);
  if (IsTall(a, b)) MakeTall(&a);
  const Matrix d{a.matrix.rows, b.matrix.columns, false};
  const T* incoming = dout.data<T>();
  const auto prepare = [&](phi::DenseTensor* gradient, const phi::DenseTensor& of) -> T* {
    if (gradient == nullptr) return nullptr;
    gradient->Resize(of.dims());
    T* data = ctx.template Alloc<T>(gradient);
    std::fill(data, data + gradient->numel(), T(0));
    return data;
  };
  T *to_x = prepare(dx, x), *to_y = prepare(dy, y);
  ForEachPair(a, b, [&](int64_t r, int64_t p, int64_t q) {
    const T* dr = incoming + r * d.rows * d.columns;
    if (to_x != nullptr) {
      const T* bq = y.data<T>() + q * b.apart;
      T* target = to_x + p * a.apart;
      if (a.matrix.transposed) {
        Multiply(b.matrix, bq, Transposed(d), dr, true, target);
      } else {
        Multiply(d, dr, Transposed(b.matrix), bq, true, target);
      }
    }
    if (to_y != nullptr) {
      const T* ap = x.data<T>() + p * a.apart;
      T* target = to_y + q * b.apart;
      if (b.matrix.transposed) {
        Multiply(Transposed(d), dr, a.matrix, ap, true, target);
      } else {
        Multiply(Transposed(a.matrix), ap, d, dr, true, target);
      }
    }
  });
}

}  // namespace sim

PD_REGISTER_PLUGIN_KERNEL(matmul, sim, ALL_LAYOUT, sim::Matmul, float, double) {}
PD_REGISTER_PLUGIN_KERNEL(matmul_grad, sim, ALL_LAYOUT, sim::MatmulGrad, float, double) {}
