// Rehearsing a card's gaps.
#pragma once

#include <set>
#include <string>

namespace sim {

// The kernels of this folder have put themselves on Paddle's waiting list while the library was loaded, and Paddle
// takes them from there once InitPlugin is done: what is struck off before, this card does not have.
void StrikeOffKernels(const std::set<std::string>& names);

// Every kernel that computes in float64: many accelerators have none. Tensors of that type can still be copied.
void StrikeOffFloat64();

}  // namespace sim
