// A communicator: the ranks that take part in a collective, and the memory that they share.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arena.h"

namespace sim {

// A collective that cannot be finished: a rank has ended, another reported a failure, or the time is over.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A pipe from one rank to another. Both counters only grow (and wrap around together): filled - emptied bytes wait.
struct Mailbox {
  alignas(64) std::atomic<uint32_t> filled;
  alignas(64) std::atomic<uint32_t> emptied;
};

// Where the input and the output of every rank lie, as this process sees them.
struct Buffers {
  std::vector<char*> inputs, outputs;
  explicit operator bool() const { return !inputs.empty(); }
};

class Communicator {
 public:
  static constexpr size_t kSlot = 1 << 19;  // bytes that a rank shows the others at a time

  // A name that no other communicator has; clears away what jobs that were killed may have left.
  static std::string NewName();

  // Waits until all ranks are there. Throws Failure.
  Communicator(const std::string& name, size_t ranks, size_t rank);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  size_t ranks() const { return ranks_; }
  size_t rank() const { return rank_; }

  // Collectives alternate between two sets of slots, so that a rank may write its next bytes while a slower one
  // still reads the last: NextSlots() changes over, Slot(r) is what rank r shows.
  void NextSlots() { set_ ^= 1; }
  char* Slot(size_t rank) const { return slots_ + (set_ * ranks_ + rank) * kSlot; }
  std::vector<char*> Slots() const;

  // Returns when all ranks have come here. Throws Failure.
  void Barrier();

  // How a collective begins: every rank shows where its data lie. If they are large and all of them lie on cards, those
  // of all ranks are returned, to be worked on in place: after that comes a Barrier. Otherwise nothing is returned, and
  // the slots have to do. Throws Failure, also if the ranks do not bring the same number of bytes.
  Buffers Meet(void* input, size_t input_bytes, void* output, size_t output_bytes);

  // The pipe between two ranks, and its bytes: MailboxBytes() of them, a power of two.
  Mailbox& MailboxOf(size_t from, size_t to) const;
  char* MailboxData(size_t from, size_t to) const;
  size_t MailboxBytes() const { return mailbox_bytes_; }

  // Tell the other ranks that this one gives up.
  void Fail();

  // Throws Failure if a rank has ended or failed, or if `since` is longer ago than SIM_TIMEOUT.
  void CheckOthers(std::chrono::steady_clock::time_point since) const;

 private:
  struct Header;
  struct Rank;

  void Attach(const std::string& name);
  void FindPeers();
  char* Reach(size_t rank, const Address& address);
  void WaitWhile(const std::atomic<uint32_t>& word, uint32_t value) const;
  bool Alive(size_t rank) const;

  size_t ranks_, rank_, mailbox_bytes_, bytes_;
  size_t set_ = 0;
  int file_ = -1;
  char* memory_ = nullptr;
  Header* header_ = nullptr;
  Rank* peers_ = nullptr;  // one for each rank
  bool direct_ = false;    // whether every rank can map every other's card
  std::map<std::pair<size_t, int>, std::pair<char*, size_t>> cards_;  // mapped: by rank and file
  char* slots_ = nullptr;
  char* mailboxes_ = nullptr;
};

}  // namespace sim
