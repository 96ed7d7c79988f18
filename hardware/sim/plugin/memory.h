// Device memory: host memory with a limit for each card.
#pragma once

#include "paddle/phi/backends/device_ext.h"

namespace sim {

void FillMemoryInterface(C_DeviceInterface* interface);

}  // namespace sim
