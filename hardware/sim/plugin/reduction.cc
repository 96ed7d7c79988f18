#include "reduction.h"

#include <algorithm>
#include <complex>
#include <cstdint>
#include <type_traits>

#include "communicator.h"
#include "paddle/phi/common/bfloat16.h"
#include "paddle/phi/common/float16.h"

namespace sim {
namespace {

// Half precision is added up in float32 and rounded once at the end, so that the result does not depend on how many
// ranks there are more than it must.
template <typename T>
struct Accumulator {
  using type = T;
};
template <>
struct Accumulator<phi::dtype::float16> {
  using type = float;
};
template <>
struct Accumulator<phi::dtype::bfloat16> {
  using type = float;
};

// Combine block by block, so that the accumulators stay in the innermost cache.
template <typename T, typename Combine, typename Finish>
void Fold(size_t count, char* const* sources, size_t number, char* target, Combine combine, Finish finish) {
  using A = typename Accumulator<T>::type;
  constexpr size_t kBlock = 1024;
  A sum[kBlock];
  for (size_t start = 0; start < count; start += kBlock) {
    const size_t length = std::min(kBlock, count - start);
    const T* first = reinterpret_cast<const T*>(sources[0]) + start;
    for (size_t i = 0; i < length; ++i) sum[i] = static_cast<A>(first[i]);
    for (size_t rank = 1; rank < number; ++rank) {
      const T* source = reinterpret_cast<const T*>(sources[rank]) + start;
      for (size_t i = 0; i < length; ++i) sum[i] = combine(sum[i], static_cast<A>(source[i]));
    }
    T* result = reinterpret_cast<T*>(target) + start;
    for (size_t i = 0; i < length; ++i) result[i] = static_cast<T>(finish(sum[i]));
  }
}

template <typename T>
void ReduceAs(C_CCLReduceOp op, size_t count, char* const* sources, size_t number, char* target) {
  using A = typename Accumulator<T>::type;
  const auto as_it_is = [](A a) { return a; };
  const auto fold = [&](auto combine, auto finish) { Fold<T>(count, sources, number, target, combine, finish); };
  switch (op) {
    case SUM:
      return fold([](A a, A b) -> A { return a + b; }, as_it_is);
    case AVG:
      return fold([](A a, A b) -> A { return a + b; }, [number](A a) -> A { return a / static_cast<A>(number); });
    case PRODUCT:
      return fold([](A a, A b) -> A { return a * b; }, as_it_is);
    case MAX:
    case MIN:
      break;
  }
  if constexpr (std::is_arithmetic_v<A>) {
    // A NaN wins over every number, from either side.
    if (op == MAX) return fold([](A a, A b) -> A { return b > a || b != b ? b : a; }, as_it_is);
    if (op == MIN) return fold([](A a, A b) -> A { return b < a || b != b ? b : a; }, as_it_is);
  }
  throw Failure("complex numbers have no maximum and no minimum");
}

}  // namespace

size_t SizeOf(C_DataType type) {
  switch (type) {
    case BOOL:
    case UINT8:
    case INT8:
      return 1;
    case UINT16:
    case INT16:
    case FLOAT16:
    case BFLOAT16:
      return 2;
    case UINT32:
    case INT32:
    case FLOAT32:
      return 4;
    case UINT64:
    case INT64:
    case FLOAT64:
    case COMPLEX64:
      return 8;
    case COMPLEX128:
      return 16;
    case UNDEFINED:
      break;
  }
  throw Failure("a data type that the simulated card does not know");
}

void Reduce(C_CCLReduceOp op, C_DataType type, size_t count, char* const* sources, size_t number, char* target) {
  switch (type) {
    case BOOL:
      return ReduceAs<bool>(op, count, sources, number, target);
    case UINT8:
      return ReduceAs<uint8_t>(op, count, sources, number, target);
    case INT8:
      return ReduceAs<int8_t>(op, count, sources, number, target);
    case UINT16:
      return ReduceAs<uint16_t>(op, count, sources, number, target);
    case INT16:
      return ReduceAs<int16_t>(op, count, sources, number, target);
    case UINT32:
      return ReduceAs<uint32_t>(op, count, sources, number, target);
    case INT32:
      return ReduceAs<int32_t>(op, count, sources, number, target);
    case UINT64:
      return ReduceAs<uint64_t>(op, count, sources, number, target);
    case INT64:
      return ReduceAs<int64_t>(op, count, sources, number, target);
    case FLOAT16:
      return ReduceAs<phi::dtype::float16>(op, count, sources, number, target);
    case BFLOAT16:
      return ReduceAs<phi::dtype::bfloat16>(op, count, sources, number, target);
    case FLOAT32:
      return ReduceAs<float>(op, count, sources, number, target);
    case FLOAT64:
      return ReduceAs<double>(op, count, sources, number, target);
    case COMPLEX64:
      return ReduceAs<std::complex<float>>(op, count, sources, number, target);
    case COMPLEX128:
      return ReduceAs<std::complex<double>>(op, count, sources, number, target);
    case UNDEFINED:
      break;
  }
  throw Failure("a data type that the simulated card does not know");
}

}  // namespace sim
