// What a run asks of the other processes that train with it; a process alone answers itself.
#pragma once

#include <functional>
#include <string_view>

#include "codmoe/core/options_json.h"
#include "codmoe/dist/group.h"
#include "codmoe/dist/watch.h"

namespace codmoe::engine {

/// largest(), sum(), ask_leader(), share() and let_leader() are collectives: every rank makes them, in the same order.
class Ranks {
 public:
  Ranks() = default;
  /// `watch` may be null.
  explicit Ranks(dist::Group& group, dist::Watch* watch = nullptr) : group_(&group), watch_(watch) {}

  dist::Group* group() const { return group_; }
  int64_t rank() const { return group_ != nullptr ? group_->rank() : 0; }
  int64_t ranks() const { return group_ != nullptr ? group_->ranks() : 1; }
  /// Whether this process writes the run's files and log.
  bool leads() const { return rank() == 0; }
  /// See dist::Watch.
  void beat(std::string_view where) const {
    if (watch_ != nullptr) watch_->beat(where);
  }
  void rests(std::string_view where) const {
    if (watch_ != nullptr) watch_->rests(where);
  }

  int64_t largest(int64_t value) const;
  int64_t sum(int64_t value) const;
  /// What the leader finds, on every rank.
  bool ask_leader(const std::function<bool()>& find) const { return largest(leads() && find() ? 1 : 0) != 0; }
  /// What the leader says, on every rank; the others' `value` is not looked at.
  core::Json share(const core::Json& value) const;
  /// `work` on the leader, before any rank goes on.
  void let_leader(const std::function<void()>& work) const;

 private:
  /// Who waits for the others is not the one they wait for.
  void waits() const {
    if (watch_ != nullptr) watch_->waits();
  }

  dist::Group* group_ = nullptr;
  dist::Watch* watch_ = nullptr;
};

}  // namespace codmoe::engine
