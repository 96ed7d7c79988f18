// A simulated card works eagerly: whatever is put on a stream is done when the call returns, as on a CUDA card under
// CUDA_LAUNCH_BLOCKING=1. So a stream is always empty and every event has happened. What remains is to catch wrong use:
// a stream or an event of another card.
#include "streams.h"

struct C_Stream_st {
  int card;
};

struct C_Event_st {
  int card;
};

namespace sim {
namespace {

C_Status CreateStream(const C_Device device, C_Stream* stream) {
  *stream = new C_Stream_st{device->id};
  return C_SUCCESS;
}

C_Status DestroyStream(const C_Device, C_Stream stream) {
  delete stream;
  return C_SUCCESS;
}

C_Status SynchronizeDevice(const C_Device) { return C_SUCCESS; }

C_Status OnOwnCard(const C_Device device, C_Stream stream) {
  return stream == nullptr || stream->card == device->id ? C_SUCCESS : C_ERROR;
}

C_Status AddCallback(const C_Device device, C_Stream stream, C_Callback callback, void* data) {
  C_Status status = C_SUCCESS;
  callback(device, stream, data, &status);
  return status;
}

C_Status CreateEvent(const C_Device device, C_Event* event) {
  *event = new C_Event_st{device->id};
  return C_SUCCESS;
}

C_Status DestroyEvent(const C_Device, C_Event event) {
  delete event;
  return C_SUCCESS;
}

C_Status RecordEvent(const C_Device device, C_Stream stream, C_Event event) {
  return event->card == device->id ? OnOwnCard(device, stream) : C_ERROR;
}

// A stream may wait for an event of another card.
C_Status WaitForEvent(const C_Device, C_Event) { return C_SUCCESS; }

C_Status StreamWaitForEvent(const C_Device device, C_Stream stream, C_Event) { return OnOwnCard(device, stream); }

}  // namespace

void FillStreamInterface(C_DeviceInterface* interface) {
  interface->create_stream = CreateStream;
  interface->destroy_stream = DestroyStream;
  interface->query_stream = OnOwnCard;
  interface->synchronize_stream = OnOwnCard;
  interface->synchronize_device = SynchronizeDevice;
  interface->stream_add_callback = AddCallback;
  interface->create_event = CreateEvent;
  interface->destroy_event = DestroyEvent;
  interface->record_event = RecordEvent;
  interface->query_event = WaitForEvent;
  interface->synchronize_event = WaitForEvent;
  interface->stream_wait_event = StreamWaitForEvent;
}

}  // namespace sim
