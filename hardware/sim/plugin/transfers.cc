#include "transfers.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace sim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookAgain = 64;  // steps in vain before a rank sleeps: it may be the only one on its core
constexpr int kGlance = 512;    // steps in vain between two looks at whether the others still live
constexpr std::chrono::microseconds kNap{100};

bool SamePipe(const Transfer& one, const Transfer& other) {
  return one.communicator == other.communicator && one.from == other.from && one.to == other.to;
}

// Step each transfer that no unfinished one before it must precede. Returns whether anything moved.
template <typename Queue>
bool StepAll(Queue* queue) {
  bool moved = false;
  for (auto one = queue->begin(); one != queue->end(); ++one) {
    const bool behind =
        std::any_of(queue->begin(), one, [&](const Transfer& it) { return !it.finished() && SamePipe(it, *one); });
    if (!behind) moved |= one->Step();
  }
  return moved;
}

// The sends that did not fit into their pipes, and the thread that finishes them.
class Outbox {
 public:
  static Outbox& Instance() {
    static Outbox* outbox = new Outbox;  // never deleted: its thread may run until the process has ended
    return *outbox;
  }

  void Post(Transfer transfer) {
    std::lock_guard<std::mutex> hold(mutex_);
    const auto same = [&](const Letter& it) { return SamePipe(it, transfer); };
    const bool behind = std::any_of(queue_.begin(), queue_.end(), same);
    while (!behind && transfer.Step()) {
    }
    if (transfer.finished()) return;
    queue_.emplace_back(transfer);
    news_.notify_all();
  }

  void Finish(const Communicator* communicator) {
    std::unique_lock<std::mutex> hold(mutex_);
    news_.wait(hold, [&] {
      return std::none_of(queue_.begin(), queue_.end(), [&](const Letter& it) {
        return communicator == nullptr || it.communicator == communicator;
      });
    });
  }

 private:
  struct Letter : Transfer {  // a send with its own copy of what is left of it
    explicit Letter(const Transfer& transfer) : Transfer(transfer), rest(data + done, data + bytes) {
      data = rest.data();
      bytes = rest.size();
      done = 0;
    }
    std::vector<char> rest;
    Clock::time_point since = Clock::now();
  };

  Outbox() {
    std::thread([this] { Work(); }).detach();
    std::atexit([] { Instance().Finish(nullptr); });
  }

  void Work() {
    std::unique_lock<std::mutex> hold(mutex_);
    for (int in_vain = 0; true; ++in_vain) {
      news_.wait(hold, [this] { return !queue_.empty(); });
      if (StepAll(&queue_)) {
        in_vain = 0;
      } else {
        if (in_vain % kGlance == kGlance - 1) GiveUpWhereNobodyListens();
        hold.unlock();
        std::this_thread::sleep_for(kNap);
        hold.lock();
      }
      const auto finished = [](const Letter& it) { return it.finished(); };
      queue_.erase(std::remove_if(queue_.begin(), queue_.end(), finished), queue_.end());
      news_.notify_all();
    }
  }

  void GiveUpWhereNobodyListens() {
    for (Letter& letter : queue_) {
      try {
        letter.communicator->CheckOthers(letter.since);
      } catch (const Failure& failure) {
        std::fprintf(stderr, "error: simulated cards: send to rank %zu: %s\n", letter.to, failure.what());
        letter.communicator->Fail();
        letter.done = letter.bytes;
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<Letter> queue_;
};

}  // namespace

bool Transfer::Step() {
  Mailbox& mailbox = communicator->MailboxOf(from, to);
  char* ring = communicator->MailboxData(from, to);
  const size_t capacity = communicator->MailboxBytes();
  std::atomic<uint32_t>& own = sending ? mailbox.filled : mailbox.emptied;
  const uint32_t waiting = mailbox.filled.load() - mailbox.emptied.load();
  const size_t room = sending ? capacity - waiting : waiting;
  const size_t position = own.load() % capacity;
  const size_t length = std::min({bytes - done, room, capacity - position});
  if (length == 0) return false;
  if (sending) {
    std::memcpy(ring + position, data + done, length);
  } else {
    std::memcpy(data + done, ring + position, length);
  }
  done += length;
  own.fetch_add(static_cast<uint32_t>(length));  // only now may the other side touch these bytes
  return true;
}

void Run(std::vector<Transfer> transfers) {
  const auto receives =
      std::stable_partition(transfers.begin(), transfers.end(), [](const Transfer& it) { return it.sending; });
  for (auto send = transfers.begin(); send != receives; ++send) Outbox::Instance().Post(*send);
  transfers.erase(transfers.begin(), receives);

  auto since = Clock::now();
  int in_vain = 0;
  while (!std::all_of(transfers.begin(), transfers.end(), [](const Transfer& it) { return it.finished(); })) {
    if (StepAll(&transfers)) {
      in_vain = 0;
      since = Clock::now();
    } else if (++in_vain < kLookAgain) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(kNap);
      if (in_vain % kGlance != 0) continue;
      try {
        transfers.front().communicator->CheckOthers(since);
      } catch (const Failure&) {
        if (!StepAll(&transfers)) throw;  // else the rank that has ended had sent everything before
      }
    }
  }
}

void FinishSending(const Communicator* communicator) { Outbox::Instance().Finish(communicator); }

}  // namespace sim
