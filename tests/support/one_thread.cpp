// Every test binary computes on one thread: on tensors this small, threads wait for each other longer than they work,
// above all where ctest runs several binaries at once. A test of threads sets their number itself.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace codmoe::test {
namespace {

class OneThread : public testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};

const auto* const kOneThread = testing::AddGlobalTestEnvironment(new OneThread);  // owned by GoogleTest

}  // namespace
}  // namespace codmoe::test
