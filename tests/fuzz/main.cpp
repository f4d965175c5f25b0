// codmoe-fuzz SECONDS [SEED]: feeds damaged files to everything that reads files, under the sanitizers.
// codmoe-fuzz READER FILE: reads one file again.
//
// Ends with 1 at the first finding: an exception other than core::Error, or more than 20 s of the processor for one
// file. A sanitizer ends it by itself. The file at fault then lies in the working folder as fuzz-READER.
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <typeinfo>

#include "codmoe/core/error.h"
#include "fuzz/mutate.h"
#include "fuzz/readers.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

constexpr int most_seconds = 20;

void stop_hanging(int) {
  constexpr char text[] = "codmoe-fuzz: a file takes more than 20 s\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, sizeof text - 1);
  ::_exit(1);
}

/// Of the processor, since a busy machine makes any file take long. 0: no limit.
void limit_time(int seconds) {
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
}

/// Whether the file was accepted. Any exception but core::Error ends the program.
bool accepts(const fuzz::FuzzedReader& reader, const fs::path& file) {
  try {
    reader.read(file);
    return true;
  } catch (const core::Error& refused) {
    return false;
  } catch (const std::exception& finding) {
    std::fprintf(stderr, "codmoe-fuzz: %s: ends with %s: %s\n", file.c_str(), typeid(finding).name(), finding.what());
    std::exit(1);
  }
}

bool read(const fuzz::FuzzedReader& reader, const fs::path& file) {
  limit_time(most_seconds);
  const bool accepted = accepts(reader, file);
  limit_time(0);  // what comes next, such as the search for leaks at the end, may take longer
  return accepted;
}

struct Tally {
  int64_t files = 0;
  int64_t accepted = 0;
};

void fuzz_for(const fuzz::FuzzedReader& reader, double seconds, std::mt19937_64& random, Tally& tally) {
  using Clock = std::chrono::steady_clock;
  const fs::path file = "fuzz-" + reader.name;
  for (const auto end = Clock::now() + std::chrono::duration<double>(seconds); Clock::now() < end; ++tally.files) {
    auto bytes = fuzz::mutate(reader.seeds, random);
    if (random() % 8 != 0) bytes = fuzz::with_png_checksums(std::move(bytes));
    std::ofstream(file, std::ios::binary) << bytes;
    tally.accepted += read(reader, file) ? 1 : 0;
  }
  fs::remove(file);
}

/// The readers in turns, so that a run that is stopped has seen them all.
int fuzz_all(double seconds, uint64_t seed) {
  constexpr int rounds = 10;
  const auto readers = fuzz::fuzzed_readers();
  std::vector<Tally> tallies(readers.size());
  std::mt19937_64 random(seed);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < readers.size(); ++i) {
      fuzz_for(readers[i], seconds / rounds / static_cast<double>(readers.size()), random, tallies[i]);
    }
  }
  for (std::size_t i = 0; i < readers.size(); ++i) {
    std::printf("%-12s %9ld files, %8ld of them accepted\n", readers[i].name.c_str(),
                static_cast<long>(tallies[i].files), static_cast<long>(tallies[i].accepted));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "4194304", 1);  // or a header alone makes it take gigabytes
  std::signal(SIGPROF, stop_hanging);
  if (argc == 3 && fs::exists(argv[2])) {
    for (const auto& reader : fuzz::fuzzed_readers()) {
      if (reader.name == argv[1]) return read(reader, argv[2]) ? 0 : 2;
    }
  }
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0;
  if (seconds > 0) return fuzz_all(seconds, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0);
  std::fprintf(stderr, "usage: codmoe-fuzz SECONDS [SEED], or codmoe-fuzz READER FILE\n");
  return 2;
}
