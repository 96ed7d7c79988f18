// Streams and events: the order of work on a card.
#pragma once

#include "paddle/phi/backends/device_ext.h"

namespace sim {

void FillStreamInterface(C_DeviceInterface* interface);

}  // namespace sim
