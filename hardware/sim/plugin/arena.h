// The memory of one card: a file in memory, so that other processes can map it too. That is what lets a collective
// read and write the tensors of all ranks where they lie, as NVLink or HCCS do between real cards.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <mutex>

namespace sim {

// How another process finds a piece of a card's memory. All zero: not on a card.
struct Address {
  pid_t process;
  int file;
  size_t size;    // of the whole card
  size_t offset;  // of the piece
};

class Arena {
 public:
  explicit Arena(size_t size);  // takes no memory until it is written to; throws std::system_error

  void* Take(size_t bytes);  // the first room that is large enough; nullptr if there is none
  void Give(void* pointer, size_t bytes);

  // Where `bytes` from `pointer` lie, if all of them are on a card of this process.
  static Address Find(const void* pointer, size_t bytes);

 private:
  static void LeaveToParent();

  const size_t size_;
  int file_;
  char* memory_;
  std::mutex mutex_;
  std::map<size_t, size_t> free_;  // offset and length of every gap
};

// Map the card that holds `address`. Throws std::system_error.
char* MapCard(const Address& address);

}  // namespace sim
