// A communicator: the ranks that take part in a collective, and the memory that they share.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

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

  // Returns when all ranks have come here. Throws Failure.
  void Barrier();

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

  void Attach(const std::string& name);
  void WaitWhile(const std::atomic<uint32_t>& word, uint32_t value) const;
  bool Alive(size_t rank) const;

  size_t ranks_, rank_, mailbox_bytes_, bytes_;
  size_t set_ = 0;
  int file_ = -1;
  char* memory_ = nullptr;
  Header* header_ = nullptr;
  std::atomic<uint32_t>* joined_ = nullptr;  // one for each rank
  char* slots_ = nullptr;
  char* mailboxes_ = nullptr;
};

}  // namespace sim
