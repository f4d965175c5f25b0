// How the learning rate changes over a run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::engine {

enum class CurveName {
  cosine,     ///< half a cosine down to `final_lr` (SGDR without restarts, Loshchilov and Hutter 2017)
  poly,       ///< (1 - progress)^power
  step,       ///< times `gamma` at each of `milestones`
  one_cycle,  ///< a cosine up from `start_lr`, then one down (Smith and Topin 2018); without warmup
  restarts    ///< cosines one after the other, each `growth` times as long as the one before (SGDR)
};
constexpr auto enum_names(CurveName) {
  return core::names<CurveName>({{"cosine", CurveName::cosine},
                                 {"poly", CurveName::poly},
                                 {"step", CurveName::step},
                                 {"one_cycle", CurveName::one_cycle},
                                 {"restarts", CurveName::restarts}});
}

/// A curve between 1 and `final_lr` of its learning rate; what a curve doesn't name means nothing to it.
struct CurveOptions {
  CurveName name = CurveName::cosine;
  double power = 0.9;                    ///< poly
  std::vector<int64_t> milestones = {};  ///< step: epochs done
  double gamma = 0.1;                    ///< step
  double rise = 0.3;                     ///< one_cycle: part of the run until the highest rate
  double start_lr = 0.04;                ///< one_cycle: times the learning rate
  int64_t first_epochs = 10;             ///< restarts: length of the first cosine
  int64_t growth = 1;                    ///< restarts

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("name", name);
    visit("power", power, core::above(0.0));
    visit("milestones", milestones, core::at_least(1));
    visit("gamma", gamma, core::above(0.0));
    visit("rise", rise, core::between(0.01, 0.99));
    visit("start_lr", start_lr, core::between(0.0, 1.0));
    visit("first_epochs", first_epochs, core::at_least(1));
    visit("growth", growth, core::at_least(1));
  }
  /// @throws core::BadOption where milestones don't rise, or `step` has none.
  void check() const;
};

struct ScheduleOptions {
  int64_t epochs = 100;
  double warmup_epochs = 1.0;                      ///< linear from 0 to lr
  double final_lr = 0.01;                          ///< where the curve ends, times lr; `step` doesn't know it
  CurveOptions curve = {};                         ///< its fields stand among these
  std::map<std::string, CurveOptions> parts = {};  ///< other curves of parts of the model: backbone

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("epochs", epochs, core::at_least(1));
    visit("warmup_epochs", warmup_epochs, core::at_least(0.0));
    visit("final_lr", final_lr, core::between(0.0, 1.0));
    curve.fields(visit);
    visit("parts", parts);
  }
  void check() const;
};

}  // namespace codmoe::engine
