#include "random_state.h"

#include <ATen/Context.h>

namespace codmoe::engine {

namespace {

at::Generator generator(c10::Device device) { return at::globalContext().defaultGenerator(device); }

}  // namespace

core::TensorMap random_state(c10::Device device) {
  core::TensorMap state{{"rng.cpu", generator(c10::kCPU).get_state()}};
  if (device.is_cuda()) state["rng.cuda"] = generator(device).get_state();
  return state;
}

void restore_random_state(const core::TensorMap& state, c10::Device device) {
  if (auto found = state.find("rng.cpu"); found != state.end()) generator(c10::kCPU).set_state(found->second);
  if (auto found = state.find("rng.cuda"); found != state.end() && device.is_cuda()) {
    generator(device).set_state(found->second);
  }
}

}  // namespace codmoe::engine
