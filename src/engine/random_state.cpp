#include "random_state.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <fmt/format.h>

#include "codmoe/core/seed.h"

namespace codmoe::engine {

namespace {

constexpr uint64_t kRankStream = 11;

at::Generator generator(c10::Device device) { return at::globalContext().defaultGenerator(device); }

std::vector<c10::Device> generators_of(c10::Device device) {
  return device.is_cuda() ? std::vector<c10::Device>{c10::kCPU, device} : std::vector<c10::Device>{c10::kCPU};
}

std::string key_of(c10::Device device, int64_t rank) {
  const std::string key = device.is_cuda() ? "rng.cuda" : "rng.cpu";
  return rank == 0 ? key : fmt::format("{}.{}", key, rank);
}

}  // namespace

core::TensorMap random_state(c10::Device device, const Ranks& ranks) {
  core::TensorMap state;
  for (const auto& one : generators_of(device)) {
    const auto own = generator(one).get_state();
    const auto all = ranks.group() != nullptr ? ranks.group()->gather(own) : own.unsqueeze(0);
    for (int64_t rank = 0; rank < all.size(0); ++rank) state[key_of(one, rank)] = all[rank];
  }
  return state;
}

void restore_random_state(core::TensorMap& tensors, c10::Device device, const Ranks& ranks, uint64_t seed) {
  seed_rank(ranks, seed);
  for (const auto& one : generators_of(device)) {
    const auto found = tensors.find(key_of(one, ranks.rank()));
    if (found != tensors.end()) generator(one).set_state(found->second);
  }
  std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("rng."); });
}

void seed_rank(const Ranks& ranks, uint64_t seed) {
  if (ranks.leads()) return;
  core::seed_all(core::mix_seed(seed, kRankStream, static_cast<uint64_t>(ranks.rank())));
}

}  // namespace codmoe::engine
