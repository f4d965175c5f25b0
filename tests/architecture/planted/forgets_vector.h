#pragma once

// Planted: a header that forgets #include <vector>, for the test that the header check refuses one.
namespace codmoe::planted {

struct Forgetful {
  std::vector<int> values;
};

}  // namespace codmoe::planted
