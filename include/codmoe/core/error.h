// The two kinds of failure a program reports, and nothing else: core::UsageError ends with exit code 2, every other
// exception with 1. Messages are one line: what, where, what is allowed.
#pragma once

#include <stdexcept>
#include <string>

namespace codmoe::core {

/// Something in the world is not as it must be: a file, a weight, a device.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user asked for something that cannot be: a wrong option, a wrong configuration.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The run was stopped by a signal after everything was saved.
class Interrupted : public Error {
 public:
  explicit Interrupted(int signal) : Error("stopped by signal"), signal_(signal) {}
  int signal() const noexcept { return signal_; }

 private:
  int signal_;
};

}  // namespace codmoe::core
