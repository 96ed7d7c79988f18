// xccl: the collective functions of a custom device, over shared memory.
#pragma once

#include "paddle/phi/backends/device_ext.h"

namespace sim {

void FillCollectiveInterface(C_DeviceInterface* interface);

}  // namespace sim
