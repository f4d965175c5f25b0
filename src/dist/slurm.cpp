#include "slurm.h"

#include <fmt/format.h>

#include <regex>

#include "codmoe/core/error.h"
#include "variables.h"

namespace codmoe::dist {

namespace {

constexpr auto kHere = std::regex_constants::match_continuous;

/// What `read` finds in the first of the two variables that is set.
template <class Read>
auto read_list(const Variables& slurm, std::initializer_list<const char*> names, const Read& read) {
  decltype(read(std::string())) value;
  for (const auto* name : names) {
    const auto list = text_of(slurm, name);
    if (!list) continue;
    value = read(*list);
    if (value) return value;
    throw core::UsageError(fmt::format("environment variable {}={}: must be a list as Slurm writes it", name, *list));
  }
  return value;
}

std::optional<std::string> tasks_on_this_node(const Variables& slurm) {
  const auto node = optional_number_of(slurm, "SLURM_NODEID", core::at_least(0)).value_or(0);
  const auto tasks = read_list(slurm, {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"},
                               [node](const std::string& list) { return tasks_of_node(list, node); });
  return tasks ? std::optional(std::to_string(*tasks)) : slurm("SLURM_NTASKS_PER_NODE");
}

}  // namespace

std::optional<std::string> first_host(const std::string& nodes) {
  // Pieces of a name, and brackets with numbers of which the first counts. A comma outside brackets ends the host.
  static const std::regex piece(R"(([^\[\],\s]+)|\[(\d+)(?:-\d+)?(?:,\d+(?:-\d+)?)*\])");
  static const std::regex others(R"(,\S+)");
  std::string host;
  auto at = nodes.begin();
  for (std::smatch match; std::regex_search(at, nodes.end(), match, piece, kHere); at = match[0].second) {
    host += match[1].matched ? match[1].str() : match[2].str();
  }
  if (host.empty() || (at != nodes.end() && !std::regex_match(at, nodes.end(), others))) return std::nullopt;
  return host;
}

std::optional<int64_t> tasks_of_node(const std::string& tasks_per_node, int64_t node) {
  static const std::regex group(R"((\d{1,9})(?:\(x(\d{1,9})\))?(?:,|$))");
  auto at = tasks_per_node.begin();
  for (std::smatch match; std::regex_search(at, tasks_per_node.end(), match, group, kHere); at = match[0].second) {
    node -= match[2].matched ? std::stoll(match[2]) : 1;
    if (node < 0) return std::stoll(match[1]);
  }
  return std::nullopt;
}

Variables with_slurm_lists_read(const Variables& slurm) {
  return [slurm](const std::string& name) {
    if (name == "SLURM_NTASKS_PER_NODE") return tasks_on_this_node(slurm);
    if (name != "MASTER_ADDR" || text_of(slurm, name)) return slurm(name);
    return read_list(slurm, {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"}, first_host);
  };
}

}  // namespace codmoe::dist
