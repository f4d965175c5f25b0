// Rows sent from every rank to every rank, whose gradients come back.
#pragma once

#include <optional>

#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// group.exchange(rows, counts), where the gradient of a row comes back from the rank that it went to.
///
/// The backward pass is a collective too. `rows` or `after` must need a gradient on every rank or on none; the loss of
/// every rank must depend on the result, be it of no rows. Then the backward pass of several calls runs in the reverse
/// of their order on every rank, whatever else a rank computes between them: autograd takes the newest of the nodes
/// that are ready, and what uses a result is newer than it. Zeros stand for gradients that don't flow.
///
/// `after`: the result of an earlier call whose backward pass is to run in any case, even where `rows` don't depend on
/// it here. `group` must outlive the backward pass.
at::Tensor all_to_all(const at::Tensor& rows, const RowCounts& counts, Group& group,
                      const std::optional<at::Tensor>& after = std::nullopt);

}  // namespace codmoe::dist
