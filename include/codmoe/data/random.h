// The random numbers of data: the same on every machine and standard library, because a data set and an order of
// samples must be reproducible from their seed alone (std:: distributions are not).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace codmoe::data {

/// SplitMix64 (Steele et al., 2014). Small and quick to seed: every sample owns one.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  /// 64 uniform bits.
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in 0 ... count - 1; count must be positive.
  int64_t below(int64_t count) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(count)); }
  /// True with this probability, in [0, 1].
  bool chance(double probability) { return uniform() < probability; }

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<int64_t>(i)))]);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace codmoe::data
