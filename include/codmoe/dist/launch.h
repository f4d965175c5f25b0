// codmoe's own launcher: the ranks of one machine.
#pragma once

#include <chrono>
#include <cstdint>

#include "codmoe/dist/place.h"

namespace codmoe::dist {

/// How long the ranks that are left may go on once one has failed.
struct LaunchLimits {
  std::chrono::milliseconds to_end_alone{20000};  ///< by themselves, then they get SIGTERM
  std::chrono::milliseconds to_end_asked{10000};  ///< after it, then they get SIGKILL
};

/// Runs this program again as `ranks` processes of this machine, with the same arguments and the environment that
/// torchrun gives (place_from_environment() reads it), and serves their store. OMP_NUM_THREADS, unless it is set, gives
/// each its share of the cores.
///
/// Each process is in a group of its own: a signal reaches it once, from here. SIGINT and SIGTERM go on to all ranks,
/// SIGTSTP stops them until this process goes on; where this process dies, so do they. The first rank that ends by a
/// signal or with an exit code other than 0 is named at error level, and the others have to end within `limits`. 130
/// and 143, a stop by signal after everything was saved, hurry nobody.
/// @param argv of main()
/// @return the first exit code that is not 0, 128 + N for signal N; otherwise 0
/// @throws core::Error where no process can be started, or no port served
int run_local_ranks(int64_t ranks, char** argv, const LaunchLimits& limits = {});

/// Whether run_local_ranks() started this process, which then does not launch again.
bool is_local_rank(const Variables& variables = environment_variable);

}  // namespace codmoe::dist
