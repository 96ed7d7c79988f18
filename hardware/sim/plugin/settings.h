// What can be set from outside: environment variables, read once.
#pragma once

#include <cstddef>
#include <set>
#include <string>

namespace sim {

struct Settings {
  size_t cards;                   // SIM_CARDS, how many there are, or as many as SIM_RUNTIME_VISIBLE_DEVICES shows of them
  size_t memory;                  // SIM_MEMORY, bytes on each card
  double timeout;                 // SIM_TIMEOUT, seconds that a collective waits for another rank
  std::set<std::string> missing;  // SIM_MISSING_KERNELS, kernels that this card is to lack
  bool lacks_float64;             // SIM_LACKS=float64: it computes in no such type
};

// Ends the process with a message if a variable cannot be read: a rehearsal with a setting that was silently ignored
// would be worth nothing.
const Settings& GetSettings();

}  // namespace sim
