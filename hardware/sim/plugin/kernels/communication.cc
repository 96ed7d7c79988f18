// Collectives as kernels, for programs that call them as operators; all end in the functions of collectives.cc.
// For all_to_all and reduce_scatter the wheel of 3.0.0 has none for custom devices. For all_gather and all_reduce it
// has, but its all_gather takes the communicator for one of gloo and crashes. A plug-in's own kernel goes before the
// wheel's.
#include "kernels.h"
#include "paddle/phi/backends/device_manager.h"
#include "paddle/phi/core/distributed/xccl_comm_context.h"

namespace sim {
namespace {

template <typename Context>
const phi::distributed::XCCLCommContext& Communicator(const Context& ctx) {
  const auto* communicator = static_cast<phi::distributed::XCCLCommContext*>(ctx.GetCommContext());
  PADDLE_ENFORCE_NOT_NULL(communicator, phi::errors::Unavailable(
                                            "The operator has no communicator: its program must give it a ring_id of a "
                                            "group that was made before."));
  return *communicator;
}

// The stream of a context as its caller takes it: whole, or as from Paddle 3.1 on the pointer in it.
struct StreamOf {
  template <typename Context>
  explicit StreamOf(const Context& ctx) : stream(*ctx.GetStream()) {}
  operator const phi::stream::Stream&() const { return stream; }
  operator phi::stream::stream_t() const { return stream.raw_stream(); }
  const phi::stream::Stream& stream;
};

}  // namespace

// Block r of the first axis goes to rank r.
template <typename T, typename Context>
void AllToAllOperator(const Context& ctx, const phi::DenseTensor& x, phi::DenseTensor* out) {
  const auto& communicator = Communicator(ctx);
  const auto ranks = static_cast<size_t>(communicator.GetSize());
  PADDLE_ENFORCE_EQ(x.dims()[0] % communicator.GetSize(), 0,
                    phi::errors::InvalidArgument("all_to_all: the first axis (%d) is not a multiple of the ranks (%d).",
                                                 x.dims()[0], communicator.GetSize()));
  out->Resize(x.dims());
  const size_t count = static_cast<size_t>(x.numel()) / ranks;
  const T* from = x.data<T>();
  T* to = ctx.template Alloc<T>(out);
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (size_t rank = 0; rank < ranks; ++rank) {
    inputs.push_back(from + rank * count);
    outputs.push_back(to + rank * count);
  }
  const std::vector<size_t> counts(ranks, count);
  const std::vector<phi::DataType> types(ranks, x.dtype());
  phi::DeviceManager::CCLAllToAll(ctx.GetPlace().GetDeviceType(), inputs.data(), counts.data(), types.data(),
                                  outputs.data(), counts.data(), types.data(), communicator.GetRank(), ranks,
                                  communicator.GetXcclComm(), StreamOf(ctx));
}

template <typename T, typename Context>
void ReduceScatterOperator(const Context& ctx, const phi::DenseTensor& x, int ranks, phi::DenseTensor* out) {
  std::vector<int64_t> shape = phi::vectorize(x.dims());
  PADDLE_ENFORCE_EQ(shape[0] % ranks, 0,
                    phi::errors::InvalidArgument("reduce_scatter: the first axis (%d) is not a multiple of the ranks "
                                                 "(%d).", shape[0], ranks));
  shape[0] /= ranks;
  out->Resize(phi::make_ddim(shape));
  ctx.template Alloc<T>(out);
  Communicator(ctx).ReduceScatter(out, x, phi::ccl::CCLReduceOp::SUM, StreamOf(ctx));
}

template <typename T, typename Context>
void AllGatherOperator(const Context& ctx, const phi::DenseTensor& x, int ranks, phi::DenseTensor* out) {
  std::vector<int64_t> shape = phi::vectorize(x.dims());
  shape[0] *= ranks;
  out->Resize(phi::make_ddim(shape));
  ctx.template Alloc<T>(out);
  Communicator(ctx).AllGather(out, x, StreamOf(ctx));
}

// `kind` is Paddle's ReduceType, which counts in another order than xccl does.
template <typename T, typename Context>
void AllReduceOperator(const Context& ctx, const phi::DenseTensor& x, int kind, phi::DenseTensor* out) {
  using phi::ccl::CCLReduceOp;
  constexpr CCLReduceOp kKinds[] = {CCLReduceOp::SUM, CCLReduceOp::MAX, CCLReduceOp::MIN, CCLReduceOp::PRODUCT,
                                    CCLReduceOp::AVG};
  PADDLE_ENFORCE_EQ(kind >= 0 && kind < 5, true,
                    phi::errors::Unimplemented("all_reduce of kind %d on a simulated card.", kind));
  out->Resize(x.dims());
  ctx.template Alloc<T>(out);
  Communicator(ctx).AllReduce(out, x, kKinds[kind], StreamOf(ctx));
}

}  // namespace sim

#define REGISTER_FOR_ALL_TYPES(name, Function)                                                                        \
  PD_REGISTER_PLUGIN_KERNEL(name, sim, ALL_LAYOUT, sim::Function, bool, uint8_t, int8_t, int16_t, int, int64_t, float, \
                            double, phi::dtype::float16, phi::dtype::bfloat16) {}

REGISTER_FOR_ALL_TYPES(all_to_all, AllToAllOperator)
REGISTER_FOR_ALL_TYPES(reduce_scatter, ReduceScatterOperator)
REGISTER_FOR_ALL_TYPES(all_gather, AllGatherOperator)
REGISTER_FOR_ALL_TYPES(all_reduce, AllReduceOperator)
