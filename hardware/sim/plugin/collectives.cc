// Every collective works in one of two ways. Large tensors on cards stay where they are: every rank has mapped the
// other cards, and works on the inputs and outputs of all. The rest goes chunk by chunk: each rank copies its next
// bytes into its slot of the shared memory, all meet at a barrier, and each takes from the slots what it needs.
#include "collectives.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "communicator.h"
#include "reduction.h"
#include "transfers.h"

struct C_CCLComm_st : public sim::Communicator {
  using sim::Communicator::Communicator;
};

namespace sim {
namespace {

constexpr size_t kNameBytes = 64;
constexpr size_t kAll = SIZE_MAX;  // every rank is a root

// A failure must not cross the C interface as an exception: it becomes a line for a person, a mark for the other
// ranks, and a status that Paddle turns into its own error.
template <typename Action>
C_Status Guarded(const char* what, Communicator* communicator, Action action) {
  try {
    action();
    return C_SUCCESS;
  } catch (const Failure& failure) {
    if (communicator != nullptr) communicator->Fail();
    std::fprintf(stderr, "error: simulated cards: %s", what);
    if (communicator != nullptr) {
      std::fprintf(stderr, " on rank %zu of %zu", communicator->rank(), communicator->ranks());
    }
    std::fprintf(stderr, ": %s\n", failure.what());
    return C_FAILED;
  }
}

C_Status GetName(C_CCLComm, char* name) {
  std::strcpy(name, "sim");
  return C_SUCCESS;
}

C_Status UniqueIdSize(size_t* size) {
  *size = kNameBytes;
  return C_SUCCESS;
}

C_Status UniqueId(C_CCLRootId* id) {
  std::memset(id->data, 0, kNameBytes);
  std::strncpy(static_cast<char*>(id->data), Communicator::NewName().c_str(), kNameBytes - 1);
  id->sz = kNameBytes;
  return C_SUCCESS;
}

C_Status Join(size_t ranks, C_CCLRootId* id, size_t rank, C_CCLComm* communicator) {
  return Guarded("joining the other ranks", nullptr, [&] {
    *communicator = new C_CCLComm_st(static_cast<const char*>(id->data), ranks, rank);
  });
}

C_Status Leave(C_CCLComm communicator) {
  FinishSending(communicator);
  delete communicator;
  return C_SUCCESS;
}

// Call chunk(offset, length) for pieces of at most `most` bytes, on fresh slots each time.
template <typename Chunk>
void InChunks(Communicator* communicator, size_t bytes, size_t most, Chunk chunk) {
  for (size_t offset = 0; offset < bytes; offset += most) {
    communicator->NextSlots();
    chunk(offset, std::min(most, bytes - offset));
  }
}

// Each rank reduces one share of the bytes over all sources and writes it to all targets, so that every number is
// reduced once and not once on every rank. Block by block: what was just reduced is written from the cache.
void ReduceShare(const std::vector<char*>& sources, const std::vector<char*>& targets, size_t bytes, C_DataType type,
                 C_CCLReduceOp op, const Communicator* c) {
  alignas(64) char block[8192];
  const size_t share = ((bytes + c->ranks() - 1) / c->ranks() + 63) / 64 * 64;  // whole elements and cache lines
  const size_t end = std::min(bytes, (c->rank() + 1) * share);
  for (size_t start = c->rank() * share; start < end; start += sizeof(block)) {
    const size_t length = std::min(sizeof(block), end - start);
    std::vector<char*> from(sources);
    for (char*& source : from) source += start;
    Reduce(op, type, length / SizeOf(type), from.data(), from.size(), block);
    for (char* target : targets) std::memcpy(target + start, block, length);
  }
}

// For the ranks that want the result: one of them, or all.
void ReduceTo(size_t root, void* input, void* output, size_t count, C_DataType type, C_CCLReduceOp op,
              Communicator* c) {
  const size_t bytes = count * SizeOf(type);
  const auto wanting = [root](const std::vector<char*>& of) {
    return root == kAll ? of : std::vector<char*>{of[root]};
  };
  if (const Buffers all = c->Meet(input, bytes, root == kAll || root == c->rank() ? output : input, bytes)) {
    ReduceShare(all.inputs, wanting(all.outputs), bytes, type, op, c);
    return c->Barrier();
  }
  InChunks(c, bytes, Communicator::kSlot, [&](size_t offset, size_t length) {
    std::memcpy(c->Slot(c->rank()), static_cast<char*>(input) + offset, length);
    c->Barrier();
    ReduceShare(c->Slots(), wanting(c->Slots()), length, type, op, c);
    c->Barrier();
    if (root == kAll || root == c->rank()) {
      std::memcpy(static_cast<char*>(output) + offset, c->Slot(c->rank()), length);
    }
  });
}

C_Status AllReduce(void* input, void* output, size_t count, C_DataType type, C_CCLReduceOp op, C_CCLComm c, C_Stream) {
  return Guarded("all_reduce", c, [&] { ReduceTo(kAll, input, output, count, type, op, c); });
}

C_Status ReduceToRoot(void* input, void* output, size_t count, C_DataType type, C_CCLReduceOp op, size_t root,
                      C_CCLComm c, C_Stream) {
  return Guarded("reduce", c, [&] { ReduceTo(root, input, output, count, type, op, c); });
}

// The input has a block for each rank. A slot holds a piece of each block, and each rank reduces those of its own.
C_Status ReduceScatter(void* input, void* output, size_t count, C_DataType type, C_CCLReduceOp op, C_CCLComm c,
                       C_Stream) {
  return Guarded("reduce_scatter", c, [&] {
    const size_t ranks = c->ranks(), element = SizeOf(type), bytes = count * element;
    const auto reduce = [&](std::vector<char*> sources, size_t own, size_t offset, size_t length) {
      for (char*& source : sources) source += own;
      Reduce(op, type, length / element, sources.data(), ranks, static_cast<char*>(output) + offset);
    };
    if (const Buffers all = c->Meet(input, ranks * bytes, output, bytes)) {
      reduce(all.inputs, c->rank() * bytes, 0, bytes);
      return c->Barrier();
    }
    const size_t most = std::max<size_t>(1, Communicator::kSlot / ranks / element) * element;
    InChunks(c, bytes, most, [&](size_t offset, size_t length) {
      for (size_t rank = 0; rank < ranks; ++rank) {
        std::memcpy(c->Slot(c->rank()) + rank * most, static_cast<char*>(input) + rank * bytes + offset, length);
      }
      c->Barrier();
      reduce(c->Slots(), c->rank() * most, offset, length);
    });
  });
}

C_Status AllGather(void* input, void* output, size_t count, C_DataType type, C_CCLComm c, C_Stream) {
  return Guarded("all_gather", c, [&] {
    const size_t bytes = count * SizeOf(type);
    const auto gather = [&](const std::vector<char*>& from, size_t offset, size_t length) {
      for (size_t rank = 0; rank < from.size(); ++rank) {
        std::memmove(static_cast<char*>(output) + rank * bytes + offset, from[rank], length);
      }
    };
    if (const Buffers all = c->Meet(input, bytes, output, c->ranks() * bytes)) {
      gather(all.inputs, 0, bytes);
      return c->Barrier();
    }
    InChunks(c, bytes, Communicator::kSlot, [&](size_t offset, size_t length) {
      std::memcpy(c->Slot(c->rank()), static_cast<char*>(input) + offset, length);
      c->Barrier();
      gather(c->Slots(), offset, length);
    });
  });
}

// The slots lie one behind the other, and the root may fill them all.
C_Status Broadcast(void* buffer, size_t count, C_DataType type, size_t root, C_CCLComm c, C_Stream) {
  return Guarded("broadcast", c, [&] {
    const size_t bytes = count * SizeOf(type);
    if (const Buffers all = c->Meet(buffer, bytes, buffer, bytes)) {
      if (c->rank() != root) std::memcpy(buffer, all.inputs[root], bytes);
      return c->Barrier();
    }
    InChunks(c, bytes, Communicator::kSlot * c->ranks(), [&](size_t offset, size_t length) {
      char* mine = static_cast<char*>(buffer) + offset;
      if (c->rank() == root) std::memcpy(c->Slot(0), mine, length);
      c->Barrier();
      if (c->rank() != root) std::memcpy(mine, c->Slot(0), length);
    });
  });
}

// Between group_start and group_end, sends and receives are only collected.
thread_local int group_depth = 0;
thread_local std::vector<Transfer> group;

C_Status RunOrCollect(const char* what, const Transfer& transfer) {
  if (group_depth > 0) {
    group.push_back(transfer);
    return C_SUCCESS;
  }
  return Guarded(what, transfer.communicator, [&] { Run({transfer}); });
}

C_Status Send(void* data, size_t count, C_DataType type, size_t to, C_CCLComm c, C_Stream) {
  return RunOrCollect("send", {c, c->rank(), to, true, static_cast<char*>(data), count * SizeOf(type)});
}

C_Status Receive(void* data, size_t count, C_DataType type, size_t from, C_CCLComm c, C_Stream) {
  return RunOrCollect("recv", {c, from, c->rank(), false, static_cast<char*>(data), count * SizeOf(type)});
}

C_Status GroupStart() {
  ++group_depth;
  return C_SUCCESS;
}

C_Status GroupEnd() {
  if (group_depth == 0) return C_ERROR;
  if (--group_depth > 0 || group.empty()) return C_SUCCESS;
  std::vector<Transfer> transfers;
  transfers.swap(group);
  return Guarded("a group of sends and receives", transfers[0].communicator, [&] { Run(transfers); });
}

C_Status AllToAll(const void** inputs, const size_t* input_counts, const C_DataType* input_types, void** outputs,
                  const size_t* output_counts, const C_DataType* output_types, size_t rank, size_t ranks, C_CCLComm c,
                  C_Stream) {
  return Guarded("all_to_all", c, [&] {
    std::vector<Transfer> transfers;
    for (size_t other = 0; other < ranks; ++other) {
      char* input = const_cast<char*>(static_cast<const char*>(inputs[other]));
      transfers.push_back({c, rank, other, true, input, input_counts[other] * SizeOf(input_types[other])});
      char* output = static_cast<char*>(outputs[other]);
      transfers.push_back({c, other, rank, false, output, output_counts[other] * SizeOf(output_types[other])});
    }
    Run(transfers);
  });
}

}  // namespace

void FillCollectiveInterface(C_DeviceInterface* interface) {
  interface->xccl_get_comm_name = GetName;
  interface->xccl_get_unique_id_size = UniqueIdSize;
  interface->xccl_get_unique_id = UniqueId;
  interface->xccl_comm_init_rank = Join;
  interface->xccl_destroy_comm = Leave;
  interface->xccl_all_reduce = AllReduce;
  interface->xccl_reduce = ReduceToRoot;
  interface->xccl_reduce_scatter = ReduceScatter;
  interface->xccl_all_gather = AllGather;
  interface->xccl_broadcast = Broadcast;
  interface->xccl_send = Send;
  interface->xccl_recv = Receive;
  interface->xccl_group_start = GroupStart;
  interface->xccl_group_end = GroupEnd;
  interface->xccl_all_to_all = AllToAll;
}

}  // namespace sim
