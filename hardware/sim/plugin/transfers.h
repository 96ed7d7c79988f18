// Bytes from one rank to another: send, recv and all_to_all.
#pragma once

#include <cstddef>
#include <vector>

#include "communicator.h"

namespace sim {

struct Transfer {
  Communicator* communicator;
  size_t from, to;  // one of them is this rank
  bool sending;
  char* data;
  size_t bytes;
  size_t done = 0;

  // Move what can be moved without waiting. Returns whether anything was.
  bool Step();
  bool finished() const { return done == bytes; }
};

// Run all at the same time. Returns when everything has been received; what could not yet be sent is copied and sent
// by a thread in the background, so that a send never waits: two ranks that first send and then receive would wait for
// each other for ever. Throws Failure.
void Run(std::vector<Transfer> transfers);

// Wait until everything that was to be sent through the communicator is on its way (or cannot be).
void FinishSending(const Communicator* communicator);

}  // namespace sim
