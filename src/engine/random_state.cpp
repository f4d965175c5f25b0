#include "random_state.h"

#include <ATen/Context.h>

namespace codmoe::engine {

namespace {

at::Generator generator(c10::DeviceType device) { return at::globalContext().defaultGenerator(device); }

}  // namespace

core::TensorMap random_state() {
  core::TensorMap state{{"rng.cpu", generator(c10::kCPU).get_state()}};
  if (at::hasCUDA()) state["rng.cuda"] = generator(c10::kCUDA).get_state();
  return state;
}

void restore_random_state(const core::TensorMap& state) {
  if (auto found = state.find("rng.cpu"); found != state.end()) generator(c10::kCPU).set_state(found->second);
  if (auto found = state.find("rng.cuda"); found != state.end() && at::hasCUDA()) {
    generator(c10::kCUDA).set_state(found->second);
  }
}

}  // namespace codmoe::engine
