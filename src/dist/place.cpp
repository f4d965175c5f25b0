#include "codmoe/dist/place.h"

#include <fmt/format.h>

#include <cstdlib>

#include "codmoe/core/error.h"
#include "codmoe/core/hash.h"
#include "slurm.h"
#include "variables.h"

namespace codmoe::dist {

namespace {

constexpr uint16_t kDefaultPort = 29500;  // PyTorch's

/// The port in MASTER_PORT, or else one that all ranks of a job derive alike from its number, other jobs rarely, and
/// that the system gives nobody of itself.
uint16_t master_port(const Variables& variables, const std::optional<std::string>& job) {
  const auto given = optional_number_of(variables, "MASTER_PORT", core::between(1, 65535));
  if (given) return static_cast<uint16_t>(*given);
  if (!job) return kDefaultPort;
  core::Hash hash;
  hash.add(job->data(), job->size());
  return static_cast<uint16_t>(20000 + hash.value() % 10000);
}

/// The host in MASTER_ADDR, or else this machine where it has all ranks.
std::string master_host(const Variables& variables, const Place& place) {
  if (const auto given = text_of(variables, "MASTER_ADDR")) return *given;
  if (place.local_ranks == place.ranks) return "127.0.0.1";
  throw core::UsageError(
      fmt::format("environment variable MASTER_ADDR is missing: only {} of {} ranks are on this machine; export it to "
                  "every rank as the host of rank 0 (mpirun -x MASTER_ADDR=HOST)",
                  place.local_ranks, place.ranks));
}

/// What every launcher says, each by its own names.
struct Names {
  const char *rank, *ranks, *local_rank, *local_ranks;
};

Place read_place(const Variables& variables, const Names& names) {
  const auto below = [](int64_t count) { return core::between(0, static_cast<double>(count - 1)); };
  Place place;
  place.ranks = number_of(variables, names.ranks, core::at_least(1));
  if (place.ranks == 1) return place;  // whatever else is there
  place.rank = number_of(variables, names.rank, below(place.ranks));
  place.local_ranks = number_of(variables, names.local_ranks, core::between(1, static_cast<double>(place.ranks)));
  place.local_rank = number_of(variables, names.local_rank, below(place.local_ranks));
  place.master_host = master_host(variables, place);
  return place;
}

Place from_torchrun(const Variables& variables) {
  auto place = read_place(variables, {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  place.master_port = master_port(variables, {});
  place.agent_store = text_of(variables, "TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.restart = optional_number_of(variables, "TORCHELASTIC_RESTART_COUNT", core::at_least(0)).value_or(0);
  return place;
}

Place from_open_mpi(const Variables& variables) {
  auto place = read_place(variables, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                                      "OMPI_COMM_WORLD_LOCAL_SIZE"});
  place.master_port = master_port(variables, first_of(variables, {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}));
  return place;
}

Place from_mpich(const Variables& variables) {
  auto place = read_place(variables, {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"});
  place.master_port = master_port(variables, {});
  return place;
}

Place from_srun(const Variables& slurm) {
  const auto variables = with_slurm_lists_read(slurm);
  const auto* ranks = text_of(variables, "SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  auto place = read_place(variables, {"SLURM_PROCID", ranks, "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"});
  place.master_port = master_port(variables, text_of(variables, "SLURM_JOB_ID"));
  return place;
}

/// Whether srun started this very process: the shell of a batch job or an allocation has a SLURM_PROCID too, and the
/// job's number of tasks, but no step's.
bool is_slurm_task(const Variables& variables) {
  return text_of(variables, "SLURM_PROCID") && first_of(variables, {"SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST"});
}

std::optional<Place> place_of_launcher(const Variables& variables) {
  // A RANK alone, or a WORLD_SIZE above 1, is an error of the launch and no run of one process.
  if (text_of(variables, "RANK") || text_of(variables, "WORLD_SIZE").value_or("1") != "1") {
    return from_torchrun(variables);
  }
  if (text_of(variables, "OMPI_COMM_WORLD_SIZE")) return from_open_mpi(variables);
  // Slurm's own PMI sets PMI_RANK without the local ones; Hydra sets all, also where it starts its daemons by srun.
  if (text_of(variables, "MPI_LOCALRANKID")) return from_mpich(variables);
  if (is_slurm_task(variables)) return from_srun(variables);
  if (text_of(variables, "PMI_RANK")) return from_mpich(variables);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* text = std::getenv(name.c_str());
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

std::optional<Place> place_from_environment(const Variables& variables) {
  auto place = place_of_launcher(variables);
  if (place && place->ranks == 1) place.reset();
  return place;
}

}  // namespace codmoe::dist
