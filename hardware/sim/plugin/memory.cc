#include "memory.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>

#include "arena.h"
#include "settings.h"

namespace sim {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

// A card's memory is made when it is first used, and what was taken from it is counted.
struct Card {
  std::once_flag made;
  Arena* arena = nullptr;
  std::atomic<size_t> used{0};
  std::atomic<size_t> peak{0};
};

Card& CardOf(size_t number) {
  static const std::unique_ptr<Card[]> cards(new Card[GetSettings().cards]);
  return cards[number];
}

void* Aligned(size_t size) {
  const size_t rounded = std::max<size_t>(1, (size + kAlignment - 1) / kAlignment) * kAlignment;
  return std::aligned_alloc(kAlignment, rounded);
}

// No room is told by a null pointer: Paddle then gives back what it keeps in reserve and asks again, and if there is no
// room still, raises its out-of-memory error, which a program can catch. C_FAILED would be "a broken card" instead.
C_Status AllocateOnCard(const C_Device device, void** pointer, size_t size) {
  *pointer = nullptr;
  Card& card = CardOf(device->id);
  try {
    std::call_once(card.made, [&] { card.arena = new Arena(GetSettings().memory); });
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "error: simulated cards: %s\n", error.what());
    return C_FAILED;
  }
  *pointer = card.arena->Take(size);
  if (*pointer == nullptr) return C_SUCCESS;
  const size_t used = card.used.fetch_add(size) + size;
  size_t peak = card.peak.load();
  while (peak < used && !card.peak.compare_exchange_weak(peak, used)) {
  }
  return C_SUCCESS;
}

C_Status FreeOnCard(const C_Device device, void* pointer, size_t size) {
  Card& card = CardOf(device->id);
  card.arena->Give(pointer, size);
  card.used.fetch_sub(size);
  return C_SUCCESS;
}

C_Status AllocateOnHost(const C_Device, void** pointer, size_t size) {
  *pointer = Aligned(size);
  return *pointer == nullptr ? C_FAILED : C_SUCCESS;
}

C_Status FreeOnHost(const C_Device, void* pointer, size_t) {
  std::free(pointer);
  return C_SUCCESS;
}

C_Status Fill(const C_Device, void* pointer, unsigned char value, size_t size) {
  std::memset(pointer, value, size);
  return C_SUCCESS;
}

// Host and card are the same memory, so that every direction is the same copy. memmove: Paddle may hand over ranges
// that overlap.
C_Status Copy(const C_Device, void* target, const void* source, size_t size) {
  std::memmove(target, source, size);
  return C_SUCCESS;
}

C_Status CopyBetweenCards(const C_Device, const C_Device, void* target, const void* source, size_t size) {
  std::memmove(target, source, size);
  return C_SUCCESS;
}

C_Status CopyOnStream(const C_Device, C_Stream, void* target, const void* source, size_t size) {
  std::memmove(target, source, size);
  return C_SUCCESS;
}

C_Status CopyBetweenCardsOnStream(
    const C_Device, const C_Device, C_Stream, void* target, const void* source, size_t size) {
  std::memmove(target, source, size);
  return C_SUCCESS;
}

C_Status Statistics(const C_Device device, size_t* total, size_t* free) {
  *total = GetSettings().memory;
  *free = *total - std::min(*total, CardOf(device->id).used.load());
  return C_SUCCESS;
}

C_Status SmallestChunk(const C_Device, size_t* size) {
  *size = kAlignment;
  return C_SUCCESS;
}

}  // namespace

void FillMemoryInterface(C_DeviceInterface* interface) {
  interface->device_memory_allocate = AllocateOnCard;
  interface->device_memory_deallocate = FreeOnCard;
  interface->device_memory_set = Fill;
  interface->host_memory_allocate = AllocateOnHost;
  interface->host_memory_deallocate = FreeOnHost;
  interface->unified_memory_allocate = AllocateOnHost;
  interface->unified_memory_deallocate = FreeOnHost;
  interface->memory_copy_h2d = Copy;
  interface->memory_copy_d2h = Copy;
  interface->memory_copy_d2d = Copy;
  interface->memory_copy_p2p = CopyBetweenCards;
  interface->async_memory_copy_h2d = CopyOnStream;
  interface->async_memory_copy_d2h = CopyOnStream;
  interface->async_memory_copy_d2d = CopyOnStream;
  interface->async_memory_copy_p2p = CopyBetweenCardsOnStream;
  interface->device_memory_stats = Statistics;
  interface->device_min_chunk_size = SmallestChunk;
}

}  // namespace sim

// For tests and tools, through ctypes: what Paddle's allocator has taken from a card, not what tensors use of it.
extern "C" __attribute__((visibility("default"))) size_t sim_memory_used(size_t card) {
  return card < sim::GetSettings().cards ? sim::CardOf(card).used.load() : 0;
}

extern "C" __attribute__((visibility("default"))) size_t sim_memory_peak(size_t card) {
  return card < sim::GetSettings().cards ? sim::CardOf(card).peak.load() : 0;
}
