// Copies of photographs, and masks that stand twice.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "codmoe/core/parallel.h"
#include "codmoe/data/doctor.h"

namespace codmoe::data {
namespace {

/// A photograph, and the set that it belongs to.
struct Candidate {
  const PairFacts* pair;
  std::size_t set;
};

struct Copy {
  std::size_t of = 0;  ///< place among the candidates
  double similarity = 0;
  bool crosses = false;  ///< a training list and a test list
};

bool crosses_lists(const PairFacts& a, const PairFacts& b) {
  return (a.in_training_list && b.in_test_list) || (a.in_test_list && b.in_training_list);
}

/// The likest copies of candidate `index` among those before it, one a set; one that crosses lists comes first.
std::map<std::size_t, Copy> copies_of(const std::vector<Candidate>& candidates, std::size_t index) {
  const Candidate& mine = candidates[index];
  std::map<std::size_t, Copy> found;
  for (std::size_t i = 0; i < index; ++i) {
    const PairFacts& other = *candidates[i].pair;
    if (!may_be_copies(mine.pair->signature, other.signature)) continue;
    const bool exact = mine.pair->signature.pixels == other.signature.pixels;
    const double likeness = exact ? 2 : similarity(mine.pair->signature, other.signature);
    if (likeness < kCopySimilarity) continue;
    const Copy copy{i, likeness, candidates[i].set == mine.set && crosses_lists(*mine.pair, other)};
    const auto [at, is_new] = found.emplace(candidates[i].set, copy);
    if (!is_new && std::tie(copy.crosses, copy.similarity) > std::tie(at->second.crosses, at->second.similarity)) {
      at->second = copy;
    }
  }
  return found;
}

Finding finding_of(const Candidate& mine, const Candidate& other, const Copy& copy) {
  const bool exact = copy.similarity > 1;
  const bool between_sets = mine.set != other.set;
  std::string detail =
      exact ? fmt::format("has the pixels of {}", other.pair->image.string())
            : fmt::format("shows what {} shows (likeness {:.2f}, {}x{} against {}x{})", other.pair->image.string(),
                          copy.similarity, mine.pair->width, mine.pair->height, other.pair->width, other.pair->height);
  if (between_sets) detail += ": in two sets";
  if (copy.crosses) detail += ": one is listed for training, one for test";
  return {exact ? Fault::exact_duplicate : Fault::near_duplicate, between_sets || copy.crosses, mine.pair->image,
          std::move(detail), other.pair->image};
}

/// One mask for two photographs, within a set: one of them has the wrong one. Copies may share theirs.
void find_shared_masks(Examination& set, const std::set<std::filesystem::path>& copies) {
  std::map<uint64_t, const PairFacts*> first_of;
  for (const PairFacts& pair : set.pairs) {
    if (pair.coverage == 0 || pair.coverage == 1) continue;  // empty and full masks have findings of their own
    const auto [at, is_new] = first_of.emplace(pair.mask_hash, &pair);
    if (is_new || copies.contains(pair.image)) continue;
    set.findings.push_back({Fault::duplicate_mask, false, pair.mask,
                            fmt::format("is also the mask of {}, another photograph", at->second->image.string()),
                            at->second->mask});
  }
}

}  // namespace

void find_copies(std::vector<Examination>& sets, const DoctorProgress& progress) {
  std::vector<Candidate> candidates;
  for (std::size_t set = 0; set < sets.size(); ++set) {
    for (const PairFacts& pair : sets[set].pairs) candidates.push_back({&pair, set});
  }
  std::vector<std::map<std::size_t, Copy>> copies(candidates.size());
  const auto body = [&](int64_t i) {
    const auto index = candidates.size() - 1 - static_cast<std::size_t>(i);  // the longest searches first
    copies[index] = copies_of(candidates, index);
  };
  core::parallel_for(std::ssize(candidates), /*threads=*/0, body, [&](int64_t done) {
    if (progress) progress(done, std::ssize(candidates));
  });
  std::vector<std::set<std::filesystem::path>> within(sets.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    for (const auto& [set, copy] : copies[i]) {
      sets[candidates[i].set].findings.push_back(finding_of(candidates[i], candidates[copy.of], copy));
      if (set == candidates[i].set) within[set].insert(candidates[i].pair->image);
    }
  }
  for (std::size_t set = 0; set < sets.size(); ++set) {
    find_shared_masks(sets[set], within[set]);
    sort_by_file(sets[set].findings);
  }
}

}  // namespace codmoe::data
