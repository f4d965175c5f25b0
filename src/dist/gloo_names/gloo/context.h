// LibTorch's wheel holds c10d's ProcessGroupGloo.hpp, but not Gloo's own headers, of which that one needs names alone:
// it keeps pointers to these types. Nothing here is ever constructed or called by codmoe.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
