// Counts of decisions against truth, for one threshold or for all 256.
#pragma once

#include <array>
#include <cstdint>

namespace codmoe::metrics {

/// Pixels by decision (positive, negative) and by whether it is right.
struct Confusion {
  int64_t tp = 0;
  int64_t fp = 0;
  int64_t tn = 0;
  int64_t fn = 0;

  int64_t total() const { return tp + fp + tn + fn; }
  Confusion& operator+=(const Confusion& other) {
    tp += other.tp, fp += other.fp, tn += other.tn, fn += other.fn;
    return *this;
  }
};

inline constexpr int thresholds = 256;

/// Values of one measure at thresholds 0 … 255, ascending (PySODMetrics lists them descending).
using Curve = std::array<double, thresholds>;

/// The confusions of one image at thresholds 0 … 255: a pixel is positive where its level is at least the threshold.
/// Kept as counts (2 KiB an image) so that every measure's curve can be had from it later.
struct ThresholdCounts {
  int64_t foreground = 0;
  int64_t background = 0;
  std::array<uint32_t, thresholds> tp{};
  std::array<uint32_t, thresholds> fp{};

  Confusion at(int threshold) const {
    const int64_t hits = tp[static_cast<std::size_t>(threshold)];
    const int64_t alarms = fp[static_cast<std::size_t>(threshold)];
    return {.tp = hits, .fp = alarms, .tn = background - alarms, .fn = foreground - hits};
  }
};

}  // namespace codmoe::metrics
