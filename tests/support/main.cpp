// The main function of every test binary.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace {

constexpr int kSkipped = 77;  // ctest's SKIP_RETURN_CODE of these tests, automake's convention

/// Whether not one test could run on this machine.
bool all_skipped() {
  const auto& tests = *testing::UnitTest::GetInstance();
  return tests.skipped_test_count() > 0 && tests.skipped_test_count() == tests.test_to_run_count();
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // On tensors this small, threads wait for each other longer than they work, above all where ctest runs several
  // binaries at once. A test of threads sets their number itself.
  at::set_num_threads(1);
  if (RUN_ALL_TESTS() != 0) return 1;
  return all_skipped() ? kSkipped : 0;
}
