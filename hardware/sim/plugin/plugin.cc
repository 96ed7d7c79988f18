// The plug-in's entry: Paddle loads every library in CUSTOM_DEVICE_ROOT, calls InitPlugin, and from then on knows a
// device type "sim". All that a card can do is the table of functions that is filled in here.
#include <cstring>

#include "collectives.h"
#include "kernels/missing.h"
#include "memory.h"
#include "settings.h"
#include "streams.h"

namespace sim {
namespace {

thread_local int current_card = 0;

C_Status Nothing() { return C_SUCCESS; }
C_Status NothingOnCard(const C_Device) { return C_SUCCESS; }

C_Status SetCard(const C_Device device) {
  if (device->id < 0 || static_cast<size_t>(device->id) >= GetSettings().cards) return C_ERROR;
  current_card = device->id;
  return C_SUCCESS;
}

C_Status GetCard(const C_Device device) {
  device->id = current_card;
  return C_SUCCESS;
}

C_Status CountCards(size_t* count) {
  *count = GetSettings().cards;
  return C_SUCCESS;
}

C_Status ListCards(size_t* cards) {
  for (size_t card = 0; card < GetSettings().cards; ++card) cards[card] = card;
  return C_SUCCESS;
}

// Asked of all cards, or from Paddle 3.1 on of one: the type of the entry chooses.
C_Status Version(size_t* version) {
  *version = 1;
  return C_SUCCESS;
}

C_Status Version(const C_Device, size_t* version) { return Version(version); }

}  // namespace
}  // namespace sim

extern "C" __attribute__((visibility("default"))) void InitPlugin(CustomRuntimeParams* params) {
  PADDLE_CUSTOM_RUNTIME_CHECK_VERSION(params);
  params->device_type = const_cast<char*>("sim");
  params->sub_device_type = const_cast<char*>("v1");

  C_DeviceInterface* interface = params->interface;
  std::memset(static_cast<void*>(interface), 0, sizeof(*interface));
  interface->size = sizeof(*interface);
  interface->initialize = sim::Nothing;
  interface->finalize = sim::Nothing;
  interface->init_device = sim::NothingOnCard;
  interface->deinit_device = sim::NothingOnCard;
  interface->set_device = sim::SetCard;
  interface->get_device = sim::GetCard;
  interface->get_device_count = sim::CountCards;
  interface->get_device_list = sim::ListCards;
  interface->get_runtime_version = sim::Version;
  interface->get_driver_version = sim::Version;
  interface->get_compute_capability = sim::Version;
  sim::FillMemoryInterface(interface);
  sim::FillStreamInterface(interface);
  sim::FillCollectiveInterface(interface);
  sim::StrikeOffKernels(sim::GetSettings().missing);
  if (sim::GetSettings().lacks_float64) sim::StrikeOffFloat64();
}
