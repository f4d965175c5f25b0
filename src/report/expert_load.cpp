#include "codmoe/report/expert_load.h"

#include <numeric>

#include "codmoe/report/object_size.h"

namespace codmoe::report {
namespace {

template <class Belongs>
void add_group(std::vector<ExpertLoad>& loads, std::string_view name, const DatasetResult& dataset, std::size_t layer,
               const Belongs& belongs) {
  ExpertLoad group{.group = std::string(name), .n = 0, .load = {}};
  for (const ImageResult& image : dataset.images()) {
    if (layer >= image.expert_use.size() || !belongs(image)) continue;
    const auto& share = image.expert_use[layer].share;
    const double all = std::accumulate(share.begin(), share.end(), 0.0);
    group.load.resize(share.size());
    for (std::size_t e = 0; e < share.size(); ++e) group.load[e] += share[e] / all;
    ++group.n;
  }
  for (double& load : group.load) load /= static_cast<double>(group.n);
  if (group.n > 0) loads.push_back(std::move(group));
}

}  // namespace

std::vector<ExpertLoad> expert_loads(const DatasetResult& dataset, std::size_t layer) {
  std::vector<ExpertLoad> loads;
  add_group(loads, "all", dataset, layer, [](const ImageResult&) { return true; });
  for (const ObjectSize size : object_sizes) {
    add_group(loads, name_of(size), dataset, layer,
              [=](const ImageResult& image) { return object_size(image) == size; });
  }
  return loads;
}

}  // namespace codmoe::report
