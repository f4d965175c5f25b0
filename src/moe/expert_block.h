// Which experts a rank owns.
#pragma once

#include <cstdint>

namespace codmoe::moe {

/// Experts begin … end - 1.
struct ExpertBlock {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// As even as can be; of fewer experts than ranks the first ranks have none.
inline ExpertBlock expert_block(int64_t rank, int64_t ranks, int64_t experts) {
  return {.begin = rank * experts / ranks, .end = (rank + 1) * experts / ranks};
}

}  // namespace codmoe::moe
