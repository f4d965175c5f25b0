// Where this process stands among the processes of one run, as their launcher says it in the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace codmoe::dist {

/// One process is one rank, and drives one device. Ranks count from 0 over all machines, local ranks over this one.
struct Place {
  int64_t rank = 0;
  int64_t ranks = 1;
  int64_t local_rank = 0;
  int64_t local_ranks = 1;
  std::string master_host;   ///< where the store is served that the ranks meet at
  uint16_t master_port = 0;  ///< its TCP port
  bool agent_store = false;  ///< whether the launcher serves the store; otherwise rank 0 does
  int64_t restart = 0;       ///< how often an elastic launcher has started all ranks again
};

/// An environment variable's value, or nothing.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

/// The variables of this process.
std::optional<std::string> environment_variable(const std::string& name);

/// The place that the launcher gave, or nothing where one process is the whole run. Read are, the first that is there:
/// torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE), Open MPI's (OMPI_COMM_WORLD_*), those of
/// MPICH and Intel MPI (PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS), and those that Slurm's srun gives a task
/// (SLURM_PROCID, SLURM_LOCALID, SLURM_STEP_*). MASTER_ADDR and MASTER_PORT go before what a launcher implies: this
/// machine where it has all ranks, or the first host of Slurm's list, and a port drawn from the job's number.
/// @throws core::UsageError naming the variable that is missing, no number, or at odds with another
std::optional<Place> place_from_environment(const Variables& variables = environment_variable);

}  // namespace codmoe::dist
