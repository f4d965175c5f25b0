#include "codmoe/dist/watch.h"

#include <c10/util/Exception.h>

#include "vigil.h"

namespace codmoe::dist {

namespace {

using std::chrono::seconds;

constexpr seconds kFailureTold{2};   // where the store is slow: this rank's own exit says it too
constexpr seconds kFailureHeard{3};  // by the others, while this rank serves their store
constexpr seconds kAllDone{5};       // the same for an end that is none for some of them yet

/// The first line, without LibTorch's backtrace.
std::string cause_of(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  const std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

/// Whether c10d threw it, or Gloo, whose exceptions have no exported type but name the file they are from.
bool is_of_collective(const std::exception& error) {
  return dynamic_cast<const c10::DistError*>(&error) != nullptr ||
         std::string_view(error.what()).find("gloo/") != std::string_view::npos;
}

}  // namespace

Watch::Watch(const Place& place, const c10::intrusive_ptr<c10d::Store>& store, std::string advice,
             const WatchLimits& limits)
    : vigil_(std::make_shared<Vigil>(place, store, std::move(advice), limits)),
      talk_([vigil = vigil_] { vigil->talk(); }),
      guard_([vigil = vigil_] { vigil->guard(); }) {}

Watch::~Watch() { fail("it ended before its work was done"); }

void Watch::beat(std::string_view where) { vigil_->mark(Doing::works, where); }
void Watch::waits(std::string_view where) { vigil_->mark(Doing::waits, where); }
void Watch::rests(std::string_view where) { vigil_->mark(Doing::rests, where); }

void Watch::done() {
  vigil_->announce(Stage::done);
  // Without a limit: guard() has its own for a store that does not answer.
  while (!vigil_->wait_until_told(vigil_->limits().silence)) {
  }
  finish(kAllDone);
}

void Watch::fail(const std::exception& error) {
  if (is_of_collective(error)) {
    waits("a collective that failed");
    std::this_thread::sleep_for(vigil_->limits().silence + 3 * vigil_->limits().period);
  }
  fail(cause_of(error));
}

void Watch::fail(std::string_view message) {
  if (vigil_->stage() == Stage::done || vigil_->stage() == Stage::failed) return;
  vigil_->announce(Stage::failed, message);
  if (vigil_->wait_until_told(kFailureTold)) {
    finish(kFailureHeard);
  } else {
    vigil_->stop();
    talk_.detach();
    guard_.detach();
  }
}

void Watch::finish(std::chrono::milliseconds for_the_others) {
  vigil_->wait_for_others(for_the_others);
  vigil_->stop();
  talk_.join();
  guard_.join();
}

}  // namespace codmoe::dist
