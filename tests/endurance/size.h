// How long the tests of this folder take: by default a few seconds; the target codmoe-endurance asks for much more.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace codmoe::test {

inline int64_t size_from(const char* variable, int64_t usual) {
  const char* text = std::getenv(variable);
  return text == nullptr ? usual : std::stoll(text);
}

}  // namespace codmoe::test
