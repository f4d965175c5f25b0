// The compressed lists in Slurm's variables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "codmoe/dist/place.h"

namespace codmoe::dist {

/// The first host of a list: "gpu03" of "gpu[03-05,7],b2". Nothing where it is no such list.
std::optional<std::string> first_host(const std::string& nodes);

/// Tasks of the node of index `node`: of "2(x3),1" 2, 2, 2 and 1. Nothing where the list has no such node.
std::optional<int64_t> tasks_of_node(const std::string& tasks_per_node, int64_t node);

/// `slurm` with two variables read from its lists: MASTER_ADDR, unless it is set, is the first host of the step, or of
/// the job; SLURM_NTASKS_PER_NODE is what runs on this node (set, it is only what was asked for).
/// Asked for one of them, @throws core::UsageError naming a list that is none.
Variables with_slurm_lists_read(const Variables& slurm);

}  // namespace codmoe::dist
