#include "communicator.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <system_error>

#include "settings.h"

namespace sim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kPrefix[] = "paddle-sim-";
constexpr long kGlance = 20'000'000;  // nanoseconds between two looks at the other ranks
constexpr int kLookAgain = 32;        // tries before a rank sleeps: it may be the only one on its core

std::string Why(const std::string& what) { return what + ": " + std::strerror(errno); }

constexpr size_t kPage = 4096;

size_t RoundUp(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// All pipes together take about 4 MiB: between few ranks they are long, between many short.
size_t MailboxBytesFor(size_t ranks) {
  size_t bytes = 1 << 18;
  while (bytes > 4096 && bytes * ranks * ranks > (4u << 20)) bytes /= 2;
  return bytes;
}

// A lock on byte `rank` of the file says that this rank lives. The kernel takes it away when the process ends, however
// it ends, and at once: a process that was killed and not yet waited for has lost its lock, but still has its number.
struct flock LockOn(off_t first, off_t count) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = count;
  return lock;
}

// Remove the segments that nobody holds: their job was killed before all of its ranks had come together.
void ClearAway() {
  DIR* folder = opendir("/dev/shm");
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    if (std::strncmp(entry->d_name, kPrefix, std::strlen(kPrefix)) != 0) continue;
    const std::string name = std::string("/") + entry->d_name;
    const int file = shm_open(name.c_str(), O_RDWR, 0600);
    if (file < 0) continue;
    struct stat status {};
    struct flock lock = LockOn(0, 0);  // 0, 0: the whole file
    const bool free = fcntl(file, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    // A minute's grace: between making the file and locking it, its maker holds nothing.
    if (free && fstat(file, &status) == 0 && std::time(nullptr) - status.st_mtime > 60) shm_unlink(name.c_str());
    close(file);
  }
  closedir(folder);
}

}  // namespace

struct Communicator::Header {
  alignas(64) std::atomic<uint32_t> joined;  // ranks that have come
  alignas(64) std::atomic<uint32_t> arrived;
  alignas(64) std::atomic<uint32_t> generation;
  alignas(64) std::atomic<uint32_t> failed;  // 1 + the rank that gave up
};

struct Communicator::Rank {
  std::atomic<uint32_t> joined;
  std::atomic<uint32_t> blind;  // it cannot reach what another rank shows
  Address trial;
  struct {
    size_t bytes;
    Address input, output;
  } shown[2];  // in turn, as with the slots
};

std::string Communicator::NewName() {
  ClearAway();
  std::string job;
  const char* given = std::getenv("PADDLE_JOB_ID");
  for (const char* c = given == nullptr ? "job" : given; *c != '\0' && job.size() < 20; ++c) {
    job += std::isalnum(static_cast<unsigned char>(*c)) ? *c : '_';
  }
  std::random_device random;
  char name[64];
  std::snprintf(name, sizeof(name), "/%s%s-%08x%08x", kPrefix, job.c_str(), random(), random());
  return name;
}

Communicator::Communicator(const std::string& name, size_t ranks, size_t rank) : ranks_(ranks), rank_(rank) {
  try {
    Attach(name);
    const uint32_t all = static_cast<uint32_t>(ranks_);
    for (uint32_t here; (here = header_->joined.load()) < all;) WaitWhile(header_->joined, here);
    FindPeers();
  } catch (const Failure&) {
    shm_unlink(name.c_str());
    if (memory_ != nullptr) munmap(memory_, bytes_);
    if (file_ >= 0) close(file_);
    throw;
  }
  shm_unlink(name.c_str());  // from here on the memory lives exactly as long as the ranks that hold it
}

Communicator::~Communicator() {
  for (const auto& [key, card] : cards_) munmap(card.first, card.second);
  munmap(memory_, bytes_);
  close(file_);
}

void Communicator::Attach(const std::string& name) {
  mailbox_bytes_ = MailboxBytesFor(ranks_);
  const size_t slots_at = RoundUp(sizeof(Header) + ranks_ * sizeof(Rank));
  const size_t mailboxes_at = slots_at + 2 * ranks_ * kSlot;
  bytes_ = mailboxes_at + ranks_ * ranks_ * (sizeof(Mailbox) + mailbox_bytes_);

  file_ = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
  if (file_ < 0) throw Failure(Why("shared memory " + name));
  struct flock lock = LockOn(static_cast<off_t>(rank_), 1);
  if (fcntl(file_, F_SETLK, &lock) != 0) throw Failure("rank " + std::to_string(rank_) + " is there twice");
  // Without this, a full /dev/shm would show as a bus error in the middle of a run.
  if (const int error = posix_fallocate(file_, 0, static_cast<off_t>(bytes_)); error != 0) {
    errno = error;
    throw Failure(Why(std::to_string(bytes_ >> 20) + " MiB of shared memory in /dev/shm (docker run --shm-size 1g)"));
  }
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) throw Failure(Why("mapping shared memory"));
  memory_ = static_cast<char*>(memory);
  header_ = reinterpret_cast<Header*>(memory_);
  peers_ = reinterpret_cast<Rank*>(memory_ + sizeof(Header));
  slots_ = memory_ + slots_at;
  mailboxes_ = memory_ + mailboxes_at;

  peers_[rank_].joined = 1;
  header_->joined.fetch_add(1);
  syscall(SYS_futex, &header_->joined, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Whether ranks can map each other's memory depends on users, containers and how /proc is mounted. Everybody tries it
// once, and all come to the same answer. (Not with the segment itself: closing it again would give up the lock on it.)
void Communicator::FindPeers() {
  const int trial = memfd_create("trial", MFD_CLOEXEC);
  peers_[rank_].blind = ftruncate(trial, kPage) != 0;
  peers_[rank_].trial = {getpid(), trial, kPage, 0};
  Barrier();
  try {
    for (size_t rank = 0; rank < ranks_; ++rank) munmap(MapCard(peers_[rank].trial), kPage);
  } catch (const std::system_error&) {
    peers_[rank_].blind = 1;
  }
  Barrier();
  close(trial);
  direct_ = std::none_of(peers_, peers_ + ranks_, [](const Rank& peer) { return peer.blind.load() != 0; });
}

Buffers Communicator::Meet(void* input, size_t input_bytes, void* output, size_t output_bytes) {
  NextSlots();
  peers_[rank_].shown[set_] = {input_bytes, Arena::Find(input, input_bytes), Arena::Find(output, output_bytes)};
  Barrier();
  bool direct = direct_ && std::max(input_bytes, output_bytes) > kSlot;
  for (size_t rank = 0; rank < ranks_; ++rank) {
    const auto& shown = peers_[rank].shown[set_];
    if (shown.bytes != input_bytes) {
      throw Failure("this rank brings " + std::to_string(input_bytes) + " bytes, rank " + std::to_string(rank) +
                    " brings " + std::to_string(shown.bytes));
    }
    direct = direct && shown.input.size > 0 && shown.output.size > 0;
  }
  Buffers buffers;
  for (size_t rank = 0; direct && rank < ranks_; ++rank) {
    const auto& shown = peers_[rank].shown[set_];
    buffers.inputs.push_back(rank == rank_ ? static_cast<char*>(input) : Reach(rank, shown.input));
    buffers.outputs.push_back(rank == rank_ ? static_cast<char*>(output) : Reach(rank, shown.output));
  }
  return buffers;
}

char* Communicator::Reach(size_t rank, const Address& address) {
  auto& [memory, size] = cards_[{rank, address.file}];
  try {
    if (memory == nullptr) memory = MapCard(address);
  } catch (const std::system_error& error) {
    throw Failure(error.what());
  }
  size = address.size;
  return memory + address.offset;
}

std::vector<char*> Communicator::Slots() const {
  std::vector<char*> slots(ranks_);
  for (size_t rank = 0; rank < ranks_; ++rank) slots[rank] = Slot(rank);
  return slots;
}

Mailbox& Communicator::MailboxOf(size_t from, size_t to) const {
  return reinterpret_cast<Mailbox*>(mailboxes_)[from * ranks_ + to];
}

char* Communicator::MailboxData(size_t from, size_t to) const {
  return mailboxes_ + ranks_ * ranks_ * sizeof(Mailbox) + (from * ranks_ + to) * mailbox_bytes_;
}

void Communicator::Barrier() {
  const uint32_t generation = header_->generation.load();
  if (header_->arrived.fetch_add(1) + 1 < ranks_) return WaitWhile(header_->generation, generation);
  header_->arrived = 0;
  header_->generation.fetch_add(1);
  syscall(SYS_futex, &header_->generation, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Communicator::WaitWhile(const std::atomic<uint32_t>& word, uint32_t value) const {
  for (int i = 0; i < kLookAgain; ++i) {
    if (word.load() != value) return;
    sched_yield();
  }
  const auto since = Clock::now();
  const timespec glance{0, kGlance};
  while (word.load() == value) {
    syscall(SYS_futex, &word, FUTEX_WAIT, value, &glance, nullptr, 0);
    if (word.load() != value) return;
    try {
      CheckOthers(since);
    } catch (const Failure&) {
      if (word.load() == value) throw;  // else the rank that has ended came here first, and then ended as it should
    }
  }
}

bool Communicator::Alive(size_t rank) const {
  struct flock lock = LockOn(static_cast<off_t>(rank), 1);
  return fcntl(file_, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void Communicator::CheckOthers(Clock::time_point since) const {
  if (const uint32_t failed = header_->failed.load(); failed != 0) {
    throw Failure("rank " + std::to_string(failed - 1) + " has failed");
  }
  for (size_t rank = 0; rank < ranks_; ++rank) {
    if (rank != rank_ && peers_[rank].joined.load() && !Alive(rank)) {
      throw Failure("rank " + std::to_string(rank) + " has ended");
    }
  }
  const double waited = std::chrono::duration<double>(Clock::now() - since).count();
  if (waited > GetSettings().timeout) {
    throw Failure("the others did not come within " + std::to_string(static_cast<int>(GetSettings().timeout)) +
                  " s (SIM_TIMEOUT)");
  }
}

void Communicator::Fail() {
  uint32_t nobody = 0;
  header_->failed.compare_exchange_strong(nobody, static_cast<uint32_t>(rank_ + 1));
}

}  // namespace sim
