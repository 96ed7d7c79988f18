#include "arena.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

namespace sim {
namespace {

constexpr size_t kPage = 4096;

std::mutex all_mutex;
std::vector<Arena*>& all = *new std::vector<Arena*>;  // the cards that this process uses, as long as it lives

size_t Pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage + (bytes == 0 ? kPage : 0); }

char* Map(int file, size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (memory == MAP_FAILED) {
    const std::string what = "mapping " + std::to_string(size >> 20) + " MiB of a simulated card's memory (SIM_MEMORY)";
    throw std::system_error(errno, std::generic_category(), what);
  }
  madvise(memory, size, MADV_HUGEPAGE);  // where the kernel has no huge pages for files, nothing changes
  madvise(memory, size, MADV_DONTDUMP);
  return static_cast<char*>(memory);
}

}  // namespace

Arena::Arena(size_t size) : size_(Pages(size)), file_(memfd_create("simulated-card", MFD_CLOEXEC)) {
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(size_)) != 0) {
    throw std::system_error(errno, std::generic_category(), "making a simulated card's memory");
  }
  memory_ = Map(file_, size_);
  free_[0] = size_;
  std::lock_guard<std::mutex> hold(all_mutex);
  if (all.empty()) pthread_atfork(nullptr, nullptr, LeaveToParent);
  all.push_back(this);
}

void* Arena::Take(size_t bytes) {
  const size_t length = Pages(bytes);
  std::lock_guard<std::mutex> hold(mutex_);
  for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
    if (gap->second < length) continue;
    const auto [offset, room] = *gap;
    free_.erase(gap);
    if (room > length) free_[offset + length] = room - length;
    return memory_ + offset;
  }
  return nullptr;
}

void Arena::Give(void* pointer, size_t bytes) {
  const size_t length = Pages(bytes);
  std::lock_guard<std::mutex> hold(mutex_);
  size_t offset = static_cast<size_t>(static_cast<char*>(pointer) - memory_);
  if (file_ >= 0) {  // the machine gets its memory back
    const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    fallocate(file_, how, static_cast<off_t>(offset), static_cast<off_t>(length));
  }
  auto gap = free_.emplace(offset, length).first;
  if (const auto next = std::next(gap); next != free_.end() && offset + length == next->first) {
    gap->second += next->second;
    free_.erase(next);
  }
  if (gap == free_.begin()) return;
  if (const auto before = std::prev(gap); before->first + before->second == offset) {
    before->second += gap->second;
    free_.erase(gap);
  }
}

Address Arena::Find(const void* pointer, size_t bytes) {
  const char* first = static_cast<const char*>(pointer);
  std::lock_guard<std::mutex> hold(all_mutex);
  for (const Arena* arena : all) {
    if (arena->file_ < 0 || first < arena->memory_ || first + bytes > arena->memory_ + arena->size_) continue;
    return {getpid(), arena->file_, arena->size_, static_cast<size_t>(first - arena->memory_)};
  }
  return {};
}

// Called in a forked child, as a data loader's worker is. What it writes must not change the parent's card: in the
// same place, it gets a copy, page by page when it writes.
void Arena::LeaveToParent() {
  for (Arena* arena : all) {
    if (arena->file_ < 0) continue;  // a child's child: a copy already
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    mmap(arena->memory_, arena->size_, PROT_READ | PROT_WRITE, flags, arena->file_, 0);
    close(arena->file_);
    arena->file_ = -1;
  }
}

char* MapCard(const Address& address) {
  const std::string path = "/proc/" + std::to_string(address.process) + "/fd/" + std::to_string(address.file);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) throw std::system_error(errno, std::generic_category(), path);
  char* memory = Map(file, address.size);
  close(file);
  return memory;
}

}  // namespace sim
