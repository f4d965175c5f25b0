#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "codmoe/dist/all_to_all.h"
#include "codmoe/dist/shared_statistics.h"
#include "expert_block.h"
#include "strategies.h"

namespace codmoe::moe {

namespace {

/// Images that go to experts, a row each: expert by expert, and so rank by rank.
struct Rows {
  at::Tensor expert_n, image_n;  ///< int64 [N], on the device
  at::Tensor counts_e;           ///< int64 [E], on the host

  explicit Rows(const Routing& routing) {
    const auto chosen_eb = (choice_counts(routing) > 0).t();
    const auto pairs_n2 = chosen_eb.nonzero();
    expert_n = pairs_n2.select(1, 0);
    image_n = pairs_n2.select(1, 1);
    counts_e = chosen_eb.sum(1).cpu();
  }
};

std::vector<int64_t> numbers(const at::Tensor& counts) {
  const auto flat = counts.contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

std::vector<int64_t> form_of(const at::Tensor& x_bchw) {
  return {x_bchw.size(1), x_bchw.size(2), x_bchw.size(3), static_cast<int64_t>(x_bchw.scalar_type())};
}

std::string text_of(const std::vector<int64_t>& form) {
  return c10::str(at::IntArrayRef(form).slice(0, 3), " ", static_cast<c10::ScalarType>(form[3]));
}

/// How many rows each rank has for each expert: int64 [R, E] on the host. Also sees that the ranks' images fit
/// together; all see the same there, so that all throw or none.
at::Tensor rows_of_ranks(const Rows& rows, const at::Tensor& x_bchw, dist::Group& group) {
  const auto form = form_of(x_bchw);
  const auto all = group.gather(at::cat({at::tensor(form, at::kLong), rows.counts_e}));
  const auto forms = all.narrow(1, 0, std::ssize(form));
  for (int64_t rank = 1; rank < group.ranks(); ++rank) {
    const auto other = numbers(forms[rank]), first = numbers(forms[0]);
    TORCH_CHECK(other == first, "dispatch spread: the ranks' images must be of one size and dtype; rank ", rank,
                " has ", text_of(other), ", rank 0 has ", text_of(first));
  }
  return all.slice(1, std::ssize(form));
}

/// Numbers of rows by the rank of their expert's owner.
std::vector<int64_t> sums_by_owner(const at::Tensor& counts_e, int64_t ranks) {
  std::vector<int64_t> sums;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const auto block = expert_block(rank, ranks, counts_e.size(0));
    sums.push_back(counts_e.narrow(0, block.begin, block.size()).sum().item<int64_t>());
  }
  return sums;
}

/// Runs the experts of this rank, each once on the rows of all ranks. Rows come and go rank by rank, of each expert by
/// expert: counts_re [R, own experts].
at::Tensor run_experts(const at::Tensor& rows_mchw, const at::Tensor& counts_re, const ExpertPool& own) {
  // All images of the batch are here: norms must not ask other ranks for theirs.
  const dist::SharedStatistics norms_of_this_rank(dist::SharedStatistics::of_loads(), /*norms=*/false);
  if (own.empty()) return rows_mchw;
  auto parts = rows_mchw.split_with_sizes(numbers(counts_re));
  for (std::size_t e = 0; e < own.size(); ++e) {
    std::vector<at::Tensor> of_ranks;
    for (std::size_t i = e; i < parts.size(); i += own.size()) of_ranks.push_back(parts[i]);
    const auto batch = at::cat(of_ranks);
    if (batch.size(0) == 0) continue;
    const auto results = own[e]->forward(batch).to(rows_mchw.scalar_type());
    const auto back = results.split_with_sizes(numbers(counts_re.select(1, static_cast<int64_t>(e))));
    for (std::size_t rank = 0; rank < back.size(); ++rank) parts[rank * own.size() + e] = back[rank];
  }
  return at::cat(parts);
}

/// The same for rows of this rank, wherever their experts are. Every rank takes part, forward and backward, also where
/// it has no row or its experts get none.
at::Tensor run_everywhere(const at::Tensor& rows_nchw, const at::Tensor& counts_re, const ExpertPool& pool,
                          dist::Group& group) {
  const auto block = expert_block(group.rank(), group.ranks(), std::ssize(pool));
  const auto own_re = counts_re.narrow(1, block.begin, block.size());
  const dist::RowCounts out{.send = sums_by_owner(counts_re[group.rank()], group.ranks()),
                            .receive = numbers(own_re.sum(1))};
  const auto received = dist::all_to_all(rows_nchw, out, group);
  auto results = run_experts(received, own_re, {pool.begin() + block.begin, pool.begin() + block.end});
  // Experts elsewhere may have run and need gradients, so the way back must be part of the graph here too.
  if (at::GradMode::is_enabled() && !results.requires_grad()) results.requires_grad_();
  return dist::all_to_all(results, {.send = out.receive, .receive = out.send}, group, received);
}

}  // namespace

at::Tensor dispatch_spread(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool,
                           dist::Group& group) {
  const Rows rows(routing);
  const auto counts_re = rows_of_ranks(rows, x_bchw, group);
  const auto results = run_everywhere(x_bchw.index_select(0, rows.image_n), counts_re, pool, group);
  const auto weights = weight_maps(routing).to(x_bchw.scalar_type()).flatten(0, 1);  // [B * E, H, W] or [B * E, 1, 1]
  const auto weights_n = weights.index_select(0, rows.image_n * routing.experts() + rows.expert_n);
  return at::zeros_like(x_bchw).index_add(0, rows.image_n, results * weights_n.unsqueeze(1));
}

}  // namespace codmoe::moe
