// The place among the ranks, from the variables of every launcher.
#include "codmoe/dist/place.h"

#include <gtest/gtest.h>

#include <map>

#include "codmoe/core/error.h"

namespace codmoe::dist {
namespace {

using Table = std::map<std::string, std::string>;

std::optional<Place> place_of(const Table& table) {
  return place_from_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = table.find(name);
    return found == table.end() ? std::nullopt : std::optional(found->second);
  });
}

/// `table` with some values set, or removed where they are empty.
Table with(Table table, const Table& changes) {
  for (const auto& [name, value] : changes) table[name] = value;
  return table;
}

/// The error's text; empty where there is none.
std::string error_of(const Table& table) {
  try {
    place_of(table);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "";
}

const Table kTorchrun = {{"RANK", "5"},
                         {"WORLD_SIZE", "8"},
                         {"LOCAL_RANK", "1"},
                         {"LOCAL_WORLD_SIZE", "4"},
                         {"MASTER_ADDR", "node0"},
                         {"MASTER_PORT", "29511"}};
const Table kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                        {"OMPI_COMM_WORLD_SIZE", "2"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
const Table kMpich = {{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}};
const Table kSrun = {{"SLURM_JOB_ID", "4711"},        {"SLURM_PROCID", "3"},
                     {"SLURM_NTASKS", "5"},           {"SLURM_LOCALID", "0"},
                     {"SLURM_NODEID", "1"},           {"SLURM_STEP_NUM_TASKS", "5"},
                     {"SLURM_TASKS_PER_NODE", "3,2"}, {"SLURM_STEP_NODELIST", "gpu[03-05,7]"}};

const std::string kNodes = "SLURM_STEP_NODELIST";

TEST(Place, OneProcessHasNone) {
  EXPECT_FALSE(place_of({}));
  EXPECT_FALSE(place_of({{"MASTER_ADDR", "node0"}, {"WORLD_SIZE", "1"}}));
  EXPECT_FALSE(place_of({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
  EXPECT_FALSE(place_of(with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "1"}})));
}

TEST(Place, TorchrunSaysAll) {
  const auto place = place_of(kTorchrun);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->ranks, 8);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_ranks, 4);
  EXPECT_EQ(place->master_host, "node0");
  EXPECT_EQ(place->master_port, 29511);
  EXPECT_FALSE(place->agent_store);
  EXPECT_EQ(place->restart, 0);
}

TEST(Place, TorchrunsAgentServesTheStoreAndCountsRestarts) {
  const auto place =
      place_of(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->agent_store);
  EXPECT_EQ(place->restart, 2);
  EXPECT_FALSE(place_of(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}}))->agent_store);
}

TEST(Place, OpenMpiOnOneMachineNeedsNoAddress) {
  const auto place = place_of(kOpenMpi);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 1);
  EXPECT_EQ(place->ranks, 2);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_ranks, 2);
  EXPECT_EQ(place->master_host, "127.0.0.1");
  EXPECT_EQ(place->master_port, 29500);
}

TEST(Place, JobsOfOneMachineHavePortsOfTheirOwn) {
  const auto port = [](const std::string& job) {
    return place_of(with(kOpenMpi, {{"PMIX_NAMESPACE", job}}))->master_port;
  };
  EXPECT_EQ(port("prterun-host-12@1"), port("prterun-host-12@1"));
  EXPECT_NE(port("prterun-host-12@1"), port("prterun-host-13@1"));
  EXPECT_GE(port("x"), 20000);
  EXPECT_LE(port("x"), 29999);
}

TEST(Place, MpiOnSeveralMachinesNeedsAnAddress) {
  for (const auto& table : {with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "4"}}), kMpich}) {
    const auto error = error_of(table);
    EXPECT_NE(error.find("MASTER_ADDR is missing: only 2 of 4 ranks are on this machine; export it"), std::string::npos)
        << error;
    EXPECT_EQ(place_of(with(table, {{"MASTER_ADDR", "node7"}}))->master_host, "node7");
  }
}

TEST(Place, MpichSaysTheRank) {
  const auto place = place_of(with(kMpich, {{"MASTER_ADDR", "node7"}, {"MASTER_PORT", "1234"}}));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->ranks, 4);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_ranks, 2);
  EXPECT_EQ(place->master_port, 1234);
}

TEST(Place, SrunGivesHostAndTasksOfThisNodeByItsLists) {
  const auto place = place_of(kSrun);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->ranks, 5);
  EXPECT_EQ(place->local_rank, 0);
  EXPECT_EQ(place->local_ranks, 2);
  EXPECT_EQ(place->master_host, "gpu03");
  EXPECT_GE(place->master_port, 20000);
  EXPECT_LE(place->master_port, 29999);
  EXPECT_EQ(place->master_port, place_of(with(kSrun, {{"SLURM_PROCID", "4"}, {"SLURM_LOCALID", "1"}}))->master_port);
  EXPECT_NE(place->master_port, place_of(with(kSrun, {{"SLURM_JOB_ID", "4712"}}))->master_port);
  EXPECT_EQ(place_of(with(kSrun, {{"MASTER_PORT", "777"}}))->master_port, 777);
  EXPECT_EQ(place_of(with(kSrun, {{"MASTER_ADDR", "head"}}))->master_host, "head");
  EXPECT_EQ(place_of(with(kSrun, {{"SLURM_STEP_NODELIST", ""}, {"SLURM_JOB_NODELIST", "a1,b2"}}))->master_host, "a1");
  EXPECT_EQ(place_of(with(kSrun, {{"SLURM_TASKS_PER_NODE", ""}, {"SLURM_NTASKS_PER_NODE", "4"}}))->local_ranks, 4);
}

TEST(Place, AStepSmallerThanItsJobHasTheStepsTasks) {
  const auto step = with(kSrun, {{"SLURM_PROCID", "1"},
                                 {"SLURM_STEP_NUM_TASKS", "2"},
                                 {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"},
                                 {"SLURM_NTASKS_PER_NODE", "4"}});
  EXPECT_EQ(place_of(step)->ranks, 2);
  EXPECT_EQ(place_of(step)->local_ranks, 1);
}

TEST(Place, TheShellOfAnAllocationIsOneProcess) {
  EXPECT_FALSE(place_of({{"SLURM_JOB_ID", "4711"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_NODELIST", "gpu1"}}));
  // sbatch gives its script the job's tasks and a SLURM_PROCID of 0.
  EXPECT_FALSE(place_of({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}));
  EXPECT_FALSE(place_of(with(kSrun, {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})));
}

TEST(Place, LaunchersInsideAnotherGoFirst) {
  EXPECT_EQ(place_of(with(kSrun, kTorchrun))->rank, 5);
  EXPECT_EQ(place_of(with(kSrun, kOpenMpi))->rank, 1);
  // Hydra starts its daemons by srun: the ranks' own numbers are its.
  EXPECT_EQ(place_of(with(with(kSrun, kMpich), {{"PMI_RANK", "2"}, {"MASTER_ADDR", "a"}}))->rank, 2);
  // srun --mpi=pmi2 sets these two alone.
  EXPECT_EQ(place_of(with(kSrun, {{"PMI_RANK", "3"}, {"PMI_SIZE", "5"}}))->local_ranks, 2);
}

TEST(Place, BadValuesAreNamed) {
  const std::pair<Table, std::string> cases[] = {
      {with(kTorchrun, {{"RANK", "8"}}), "environment variable RANK=8: must be a whole number in [0, 7]"},
      {with(kTorchrun, {{"RANK", "-1"}}), "environment variable RANK=-1: must be a whole number in [0, 7]"},
      {with(kTorchrun, {{"RANK", "1x"}}), "environment variable RANK=1x: must be a whole number in [0, 7]"},
      {with(kTorchrun, {{"RANK", "99999999999999999999"}}),
       "environment variable RANK=99999999999999999999: must be a whole number in [0, 7]"},
      {with(kTorchrun, {{"WORLD_SIZE", "0"}}), "environment variable WORLD_SIZE=0: must be a whole number at least 1"},
      {with(kTorchrun, {{"LOCAL_RANK", "4"}}), "environment variable LOCAL_RANK=4: must be a whole number in [0, 3]"},
      {with(kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}}),
       "environment variable LOCAL_WORLD_SIZE=9: must be a whole number in [1, 8]"},
      {with(kTorchrun, {{"MASTER_PORT", "65536"}}),
       "environment variable MASTER_PORT=65536: must be a whole number in [1, 65535]"},
      {with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "one"}}),
       "environment variable TORCHELASTIC_RESTART_COUNT=one: must be a whole number at least 0"},
      {with(kTorchrun, {{"WORLD_SIZE", ""}}),
       "environment variable WORLD_SIZE is missing beside the launcher's others"},
      {{{"WORLD_SIZE", "2"}}, "environment variable RANK is missing beside the launcher's others"},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_RANK", "2"}}),
       "environment variable OMPI_COMM_WORLD_RANK=2: must be a whole number in [0, 1]"},
      {with(kMpich, {{"MPI_LOCALRANKID", ""}}),
       "environment variable MPI_LOCALRANKID is missing beside the launcher's others"},
      {with(kSrun, {{"SLURM_STEP_NODELIST", "gpu[03-"}}),
       "environment variable SLURM_STEP_NODELIST=gpu[03-: must be a list as Slurm writes it"},
      {with(kSrun, {{"SLURM_TASKS_PER_NODE", "3"}}),
       "environment variable SLURM_TASKS_PER_NODE=3: must be a list as Slurm writes it"},
  };
  for (const auto& [table, text] : cases) EXPECT_EQ(error_of(table), text);
}

TEST(Place, FirstHostOfSlurmsLists) {
  const std::pair<std::string, std::string> cases[] = {
      {"gpu1", "gpu1"},          {"a1,b2", "a1"},
      {"gpu[03-05,7]", "gpu03"}, {"gpu[03-05,7],b2", "gpu03"},
      {"gpu-a[7]", "gpu-a7"},    {"rack[2-3]n[01-04].lab", "rack2n01.lab"},
      {"b2,gpu[1-2]", "b2"},     {"[10-12]", "10"},
  };
  for (const auto& [nodes, host] : cases) EXPECT_EQ(place_of(with(kSrun, {{kNodes, nodes}}))->master_host, host);
  for (const std::string nodes : {",", "a[", "a]", "a[]", "a[1-]", "a[x]", "a b", "a[1]b["}) {
    EXPECT_EQ(error_of(with(kSrun, {{kNodes, nodes}})),
              "environment variable SLURM_STEP_NODELIST=" + nodes + ": must be a list as Slurm writes it");
  }
}

TEST(Place, TasksOfANodeInSlurmsLists) {
  const auto tasks_of = [](const std::string& node) {
    return place_of(with(kSrun, {{"SLURM_NODEID", node}, {"SLURM_TASKS_PER_NODE", "2(x3),1,4"}}))->local_ranks;
  };
  EXPECT_EQ(tasks_of("0"), 2);
  EXPECT_EQ(tasks_of("2"), 2);
  EXPECT_EQ(tasks_of("3"), 1);
  EXPECT_EQ(tasks_of("4"), 4);
  EXPECT_THROW(tasks_of("5"), core::UsageError);
}

}  // namespace
}  // namespace codmoe::dist
