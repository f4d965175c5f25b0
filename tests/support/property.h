// Properties that must hold for random cases. A failing case's message names its seed, and how to run it alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace codmoe::test {

/// Draws that are the same on every platform (std::uniform_int_distribution's are not).
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) {  // both may be drawn
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool one_in(int64_t n) { return between(1, n) == 1; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(between(0, static_cast<int64_t>(from.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

inline uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

/// Calls body(case) for `count` cases, draw(random) of the seeds 1, 2, … and stops at the first that fails. Cases are
/// printed by operator<<. CODMOE_PROPERTY_SEED and CODMOE_PROPERTY_CASES set another first seed and another count.
template <class Draw, class Body>
void for_all(uint64_t count, const Draw& draw, const Body& body) {
  const auto first = number_from_environment("CODMOE_PROPERTY_SEED", 1);
  const auto cases = number_from_environment("CODMOE_PROPERTY_CASES", count);
  for (auto seed = first; seed < first + cases; ++seed) {
    Random random(seed);
    const auto one = draw(random);
    SCOPED_TRACE("CODMOE_PROPERTY_CASES=1 CODMOE_PROPERTY_SEED=" + std::to_string(seed) + " draws " +
                 testing::PrintToString(one));
    body(one);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace codmoe::test
