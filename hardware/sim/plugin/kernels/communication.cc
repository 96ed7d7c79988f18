// Collectives as kernels. Static programs and resharding call collectives as operators, and for these four the wheel has
// none for custom devices; all_reduce, all_gather, broadcast and the rest it has. All of them end in the functions of
// collectives.cc.
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

// Numbers that the ranks tell each other: a shape whose size the receiver does not know.
template <typename Context>
void SendNumbers(const Context& ctx, int peer, std::vector<int64_t> numbers) {
  phi::DeviceManager::CCLSend(ctx.GetPlace().GetDeviceType(), numbers.data(), numbers.size(), phi::DataType::INT64,
                              peer, Communicator(ctx).GetXcclComm(), *ctx.GetStream());
}

template <typename Context>
std::vector<int64_t> ReceiveNumbers(const Context& ctx, int peer, size_t count) {
  std::vector<int64_t> numbers(count);
  phi::DeviceManager::CCLRecv(ctx.GetPlace().GetDeviceType(), numbers.data(), count, phi::DataType::INT64, peer,
                              Communicator(ctx).GetXcclComm(), *ctx.GetStream());
  return numbers;
}

}  // namespace

template <typename T, typename Context>
void SendToPeer(const Context& ctx, const phi::DenseTensor& x, int peer, bool dynamic_shape) {
  if (dynamic_shape) {
    SendNumbers(ctx, peer, {x.dims().size()});
    SendNumbers(ctx, peer, phi::vectorize(x.dims()));
  }
  Communicator(ctx).Send(x, x.numel(), peer, *ctx.GetStream());
}

template <typename T, typename Context>
void ReceiveFromPeer(const Context& ctx, int peer, phi::DataType, const std::vector<int>& shape, bool dynamic_shape,
                     phi::DenseTensor* out) {
  out->Resize(phi::make_ddim(shape));
  if (dynamic_shape) {
    const auto rank = static_cast<size_t>(ReceiveNumbers(ctx, peer, 1)[0]);
    out->Resize(phi::make_ddim(ReceiveNumbers(ctx, peer, rank)));
  }
  ctx.template Alloc<T>(out);
  Communicator(ctx).Recv(out, out->numel(), peer, *ctx.GetStream());
}

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
                                  communicator.GetXcclComm(), *ctx.GetStream());
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
  Communicator(ctx).ReduceScatter(out, x, phi::ccl::CCLReduceOp::SUM, *ctx.GetStream());
}

}  // namespace sim

#define REGISTER_FOR_ALL_TYPES(name, Function)                                                                        \
  PD_REGISTER_PLUGIN_KERNEL(name, sim, ALL_LAYOUT, sim::Function, bool, uint8_t, int8_t, int16_t, int, int64_t, float, \
                            double, phi::dtype::float16, phi::dtype::bfloat16) {}

REGISTER_FOR_ALL_TYPES(p_send, SendToPeer)
REGISTER_FOR_ALL_TYPES(p_recv, ReceiveFromPeer)
REGISTER_FOR_ALL_TYPES(all_to_all, AllToAllOperator)
REGISTER_FOR_ALL_TYPES(reduce_scatter, ReduceScatterOperator)
