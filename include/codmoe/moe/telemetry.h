// What the router does with the experts: their load over many batches, and what each image used.
#pragma once

#include <string>
#include <vector>

#include "codmoe/moe/routing.h"

namespace codmoe::moe {

/// Means over the decisions since the last reset: one an image, or one a position where routing is spatial. Vectors are
/// by expert, [E].
struct LoadReport {
  int64_t decisions = 0;
  std::vector<double> load;         ///< share of assignments; sum 1
  std::vector<double> probability;  ///< mean router probability; sum 1
  double entropy = 0.0;             ///< mean entropy of the probabilities, nats: at most log E
  double cv = 0.0;                  ///< coefficient of variation of the load: standard deviation (over E) / mean
  int64_t dead = 0;                 ///< experts without a single assignment
};

/// Sums on the device what LoadReport says, of one layer. The sums keep their storage from the first add() on, so that
/// add() can be part of a captured CUDA graph, whose replays then count too.
class LoadMeter {
 public:
  /// Adds a batch without waiting for the device: nine small operations on it, on any shape of routing. A batch with a
  /// probability that is NaN is left out, as the optimizer leaves out its step.
  void add(const Routing& routing);
  /// Reads the sums: two copies to the host. Empty where nothing was added. Within dist::SharedStatistics the sums are
  /// those of all ranks, which must all call it.
  LoadReport read() const;
  /// Reads the sums and starts anew.
  LoadReport take();

 private:
  at::Tensor counts_e_;  // int64 [E]: assignments
  at::Tensor sums_2e_;   // float64 [2, E]: probability and entropy
  int64_t top_k_ = 1;
};

/// What each image of a batch used.
struct ImageChoices {
  at::Tensor share_be;   ///< [B, E] share of the image's decisions that chose the expert: 0 or 1 under global routing;
                         ///< sum k
  at::Tensor weight_be;  ///< [B, E] mean mixing weight, 0 where not chosen; sum 1
};

/// On the device and in the dtype of the weights, without gradient and without waiting.
ImageChoices image_choices(const Routing& routing);

/// The pool's names, made unique: of a repeated "edge" the second is "edge.2".
std::vector<std::string> expert_labels(const std::vector<std::string>& pool);

}  // namespace codmoe::moe
