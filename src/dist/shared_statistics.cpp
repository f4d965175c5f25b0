#include "codmoe/dist/shared_statistics.h"

#include <utility>

namespace codmoe::dist {

namespace {

thread_local Group* loads = nullptr;
thread_local Group* norms_group = nullptr;

}  // namespace

SharedStatistics::SharedStatistics(Group* group, bool norms)
    : outer_loads_(std::exchange(loads, group)), outer_norms_(std::exchange(norms_group, norms ? group : nullptr)) {}

SharedStatistics::~SharedStatistics() {
  loads = outer_loads_;
  norms_group = outer_norms_;
}

Group* SharedStatistics::of_loads() { return loads; }
Group* SharedStatistics::of_norms() { return norms_group; }

}  // namespace codmoe::dist
