#include "missing.h"

#include <iterator>

#include "paddle/phi/core/custom_kernel.h"

namespace sim {

void StrikeOffKernels(const std::set<std::string>& names) {
  auto& waiting = phi::CustomKernelMap::Instance().Kernels();
  for (const std::string& name : names) waiting.erase(name);
}

void StrikeOffFloat64() {
  for (auto& named : phi::CustomKernelMap::Instance().Kernels()) {
    const std::string& name = named.first;  // these three move bytes, and have no fall-back
    if (name == "contiguous" || name == "strided_copy" || name == "fill") continue;
    auto& kernels = named.second;
    for (auto kernel = kernels.begin(); kernel != kernels.end();) {
      kernel = kernel->first.dtype() == phi::DataType::FLOAT64 ? kernels.erase(kernel) : std::next(kernel);
    }
  }
}

}  // namespace sim
