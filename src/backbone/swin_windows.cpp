#include "swin_windows.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace codmoe::backbone {

namespace {

/// x [N, C] with its N reordered by a permutation. The gradient is reordered back; autograd's own for index_select,
/// which can't know that no index comes twice, is a slower sum.
class Reorder : public torch::autograd::Function<Reorder> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_nc, const at::Tensor& order,
                            const at::Tensor& inverse) {
    context->save_for_backward({order, inverse});
    return x_nc.index_select(0, order);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    return {apply(gradients[0], saved[1], saved[0]), at::Tensor(), at::Tensor()};
  }
};

/// Map [H, W], whole windows -> [windows, N].
at::Tensor cut(const at::Tensor& map_hw, const SwinSide& rows, const SwinSide& columns) {
  const auto pieces = map_hw.view({-1, rows.window, columns.padded / columns.window, columns.window});
  return pieces.transpose(1, 2).reshape({-1, rows.window * columns.window});
}

/// A permutation of one image's pixels, [N] -> [batch * N]: of all images' pixels, one after the other.
at::Tensor of_all_images(const at::Tensor& order, int64_t batch) {
  return (at::arange(batch, order.options()).unsqueeze(1) * order.numel() + order).flatten();
}

/// [padded]: the row (or column) that each holds after the roll; the padding follows, unmoved.
at::Tensor rolled(const SwinSide& side, const at::TensorOptions& options) {
  const auto index = at::arange(side.padded, options);
  return at::where(index.lt(side.size), (index + side.shift).remainder(side.size), index);
}

/// [padded]: whether the roll brought it here from the other end; padding counts as the map's last rows, as in timm.
at::Tensor came_around(const SwinSide& side, const at::TensorOptions& options) {
  return at::arange(side.padded, options).ge(side.padded - side.shift).to(at::kLong);
}

/// [window, window]: from query to key, counted from the largest negative one that the table has.
at::Tensor offsets(const SwinSide& side, const at::TensorOptions& options) {
  const auto index = at::arange(side.window, options);
  return index.unsqueeze(1) - index + (swin_window - 1);
}

}  // namespace

SwinSide::SwinSide(int64_t map_size, bool shifted)
    : size(map_size),
      window(std::min(size, swin_window)),
      shift(shifted && size > window ? window / 2 : 0),
      padded((size + window - 1) / window * window) {}

SwinWindows::SwinWindows(const at::Tensor& x_bhwc, bool shifted)
    : batch_(x_bhwc.size(0)), rows_(x_bhwc.size(1), shifted), columns_(x_bhwc.size(2), shifted) {
  const auto options = x_bhwc.options().dtype(at::kLong);
  const auto source_hw = rolled(rows_, options).unsqueeze(1) * columns_.padded + rolled(columns_, options);
  const auto order = cut(source_hw, rows_, columns_).flatten();
  order_ = of_all_images(order, batch_);
  position_ = of_all_images(order.argsort(), batch_);
  const auto row_offset = offsets(rows_, options).unsqueeze(1).unsqueeze(3) * swin_offsets;
  offset_ = (row_offset + offsets(columns_, options).unsqueeze(1)).flatten();
  if (rows_.shift == 0 && columns_.shift == 0) return;
  const auto region_hw = came_around(rows_, options).unsqueeze(1) * 2 + came_around(columns_, options);
  const auto region_wn = cut(region_hw, rows_, columns_);
  apart_ = region_wn.unsqueeze(1).ne(region_wn.unsqueeze(2)).unsqueeze(1);
}

at::Tensor SwinWindows::split(const at::Tensor& x_bhwc) const {
  const auto right = columns_.padded - columns_.size, below = rows_.padded - rows_.size;
  const auto whole_bhwc = right + below == 0 ? x_bhwc : at::constant_pad_nd(x_bhwc, {0, 0, 0, right, 0, below});
  const auto x_nc = Reorder::apply(whole_bhwc.flatten(0, 2), order_, position_);
  return x_nc.view({-1, rows_.window * columns_.window, x_bhwc.size(3)});
}

at::Tensor SwinWindows::join(const at::Tensor& x_wnc) const {
  const auto x_nc = Reorder::apply(x_wnc.flatten(0, 1), position_, order_);
  const auto whole_bhwc = x_nc.view({batch_, rows_.padded, columns_.padded, -1});
  return whole_bhwc.narrow(1, 0, rows_.size).narrow(2, 0, columns_.size);
}

at::Tensor SwinWindows::bias(const at::Tensor& table) const {
  const auto area = rows_.window * columns_.window;
  const auto bias_hnn = table.t().index_select(1, offset_).view({-1, area, area});
  if (!apart_.defined()) return bias_hnn.unsqueeze(0);
  // Written once for each image, in the adding: fused attention has one batch dimension, which can't say that every
  // image's windows have the same. timm adds -100, whose exponential is a denormal number in float32: arithmetic on
  // those takes CPUs several times as long. That of -1000 is 0.
  const auto apart_bwhnn = apart_.expand({batch_, apart_.size(0), 1, area, area});
  return at::add(bias_hnn, apart_bwhnn, -1000).flatten(0, 1);
}

}  // namespace codmoe::backbone
