#include "codmoe/metrics/batch_scores.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <limits>

#include "codmoe/core/error.h"
#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {
namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

// 0 where the denominator is 0.
at::Tensor quotient(const at::Tensor& numerator, const at::Tensor& denominator) {
  return at::where(denominator == 0, at::zeros_like(numerator), numerator / denominator);
}

// Counts of pixels, float64; columns of one image, or 256 of its thresholds.
struct Decisions {
  at::Tensor tp;
  at::Tensor fp;
  at::Tensor foreground;  // [B, 1]
  at::Tensor background;  // [B, 1]
};

at::Tensor alignment(const at::Tensor& decision, const at::Tensor& truth) {
  const auto a = 2 * decision * truth / (decision.square() + truth.square() + eps);
  return (a + 1).square() / 4;
}

at::Tensor e_measure(const Decisions& d) {
  const auto size = d.foreground + d.background;
  const auto positives = d.tp + d.fp;
  const auto decision = positives / size;
  const auto truth = d.foreground / size;
  auto sum = alignment(1 - decision, 1 - truth) * d.tp + alignment(1 - decision, -truth) * d.fp +
             alignment(-decision, 1 - truth) * (d.foreground - d.tp) +
             alignment(-decision, -truth) * (d.background - d.fp);
  sum = at::where(d.background == 0, positives, sum);
  sum = at::where(d.foreground == 0, size - positives, sum);
  return sum / (size - 1 + eps);
}

at::Tensor f_measure(const Decisions& d) {
  constexpr double beta_squared = 0.3;
  const auto p = quotient(d.tp, d.tp + d.fp);
  const auto r = quotient(d.tp, d.foreground.expand_as(d.tp));
  return quotient((beta_squared + 1) * p * r, beta_squared * p + r);
}

// [B, H, W] of 0 … 3: which of the four parts around the mask's centroid, as cut_after_centroid.
at::Tensor quadrants(const at::Tensor& mask_bhw) {
  const auto mask = mask_bhw.to(at::kDouble);
  const auto n = mask.sum({1, 2}).clamp_min(1);
  const auto after = [&](int64_t dim, int64_t length) {
    const auto places = at::arange(length, mask.options());
    const auto centroid = (mask.sum(dim == 1 ? 2 : 1) * places).sum(1) / n;
    return places.view({1, length}) >= (centroid.round() + 1).view({-1, 1});
  };
  const auto lower = after(1, mask.size(1)).unsqueeze(2).to(at::kLong);
  const auto right = after(2, mask.size(2)).unsqueeze(1).to(at::kLong);
  return lower * 2 + right;
}

// float64 [B, 4, 2, 256]: pixels by quadrant, mask and grey level.
at::Tensor count_levels(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw) {
  const int64_t b = pred_bhw.size(0);
  auto bins = ((quadrants(mask_bhw) * 2 + mask_bhw.to(at::kLong)) * 256 + pred_bhw.to(at::kLong)).flatten(1);
  bins += at::arange(b, bins.options()).view({b, 1}) * 2048;
  bins = bins.flatten();
  const auto counts = at::zeros({b * 2048}, bins.options().dtype(at::kInt));
  return counts.scatter_add_(0, bins, at::ones_like(bins, counts.options())).to(at::kDouble).view({b, 4, 2, 256});
}

// float64 [B, 256]: what each grey level stands for, stretched to the image's own minimum and maximum.
at::Tensor level_values(const at::Tensor& pred_bhw) {
  // By a tensor: for a number LibTorch multiplies by 1/255 on CUDA, and a level at a threshold falls on its other side.
  const auto levels = at::arange(256, pred_bhw.options().dtype(at::kDouble));
  const auto values = levels / at::full_like(levels, 255);
  const auto flat = pred_bhw.flatten(1);
  const auto value_of = [&](const at::Tensor& level_b1) { return values.take(level_b1.to(at::kLong)); };
  const auto min = value_of(flat.amin(1, true)), max = value_of(flat.amax(1, true));
  const auto stretched = ((values - min) / (max - min)).clamp(0, 1);  // of levels that don't occur too
  return at::where(max == min, values.expand_as(stretched), stretched);
}

// Of one class: counts [B, 256], and values that are 1 where right.
at::Tensor object_similarity(const at::Tensor& counts, const at::Tensor& values) {
  const auto n = counts.sum(1, true);
  const auto mean = (counts * values).sum(1, true) / n;
  const auto squares = (counts * (values - mean).square()).sum(1, true);
  const auto deviation = at::where(n > 1, (squares / (n - 1)).sqrt(), at::zeros_like(n));
  return 2 * mean / (mean.square() + 1 + deviation + eps);
}

// Of each quadrant: [B, 4].
at::Tensor structural_similarity(const at::Tensor& levels_bqmk, const at::Tensor& value_bk) {
  const auto value = value_bk.unsqueeze(1);
  const auto background = levels_bqmk.select(2, 0);
  const auto foreground = levels_bqmk.select(2, 1);
  const auto counts = background + foreground;
  const auto n = counts.sum(2, true);
  const auto occurs = counts > 0;
  const auto constant = occurs.sum(2, true) == 1;
  const auto x = at::where(constant, (occurs * value).sum(2, true), (counts * value).sum(2, true) / n);
  const auto y = foreground.sum(2, true) / n;
  const auto dx = value - x;
  const auto scale = n - 1 + eps;
  const auto xx = (counts * dx.square()).sum(2, true) / scale;
  const auto xy = (dx * (foreground * (1 - y) - background * y)).sum(2, true) / scale;
  const auto yy = (foreground * (1 - y).square() + background * y.square()).sum(2, true) / scale;
  const auto alpha = 4 * x * y * xy;
  const auto beta = (x.square() + y.square()) * (xx + yy);
  const auto otherwise = (beta == 0).to(at::kDouble);
  const auto score = at::where(alpha != 0, alpha / (beta + eps), otherwise);
  return at::where(n == 0, at::full_like(n, std::nan("")), score).squeeze(2);
}

// [B]
at::Tensor s_measure(const at::Tensor& levels_bqmk, const at::Tensor& value_bk) {
  const auto levels = levels_bqmk.sum(1);
  const auto background = levels.select(1, 0);
  const auto foreground = levels.select(1, 1);
  const auto size = levels.sum({1, 2});
  const auto share = (foreground.sum(1) / size).unsqueeze(1);
  const auto object =
      object_similarity(foreground, value_bk) * share + object_similarity(background, 1 - value_bk) * (1 - share);
  const auto weights = levels_bqmk.sum({2, 3}) / size.unsqueeze(1);
  const auto region = (structural_similarity(levels_bqmk, value_bk) * weights).sum(1);
  const auto mean = ((background + foreground) * value_bk).sum(1) / size;
  auto score = (0.5 * object.squeeze(1) + 0.5 * region).clamp_min(0);
  score = at::where(share.squeeze(1) == 1, mean, score);
  return at::where(share.squeeze(1) == 0, 1 - mean, score);
}

// [B]
at::Tensor mean_absolute_error(const at::Tensor& levels_bmk, const at::Tensor& value_bk) {
  const auto errors = levels_bmk.select(1, 0) * value_bk + levels_bmk.select(1, 1) * (1 - value_bk);
  return errors.sum(1) / levels_bmk.sum({1, 2});
}

// Where `positive` [B, 256] says so of a grey level: [B, 1] each.
Decisions decide(const at::Tensor& levels_bmk, const at::Tensor& positive) {
  const auto hits = (levels_bmk * positive.unsqueeze(1)).sum(2);
  const auto all = levels_bmk.sum(2);
  return {hits.narrow(1, 1, 1), hits.narrow(1, 0, 1), all.narrow(1, 1, 1), all.narrow(1, 0, 1)};
}

// At the thresholds 0 … 255 of trunc(255 value): [B, 256] each.
Decisions decide_by_threshold(const at::Tensor& levels_bmk, const at::Tensor& value_bk) {
  const auto bins = (value_bk * 255).trunc().to(at::kLong).unsqueeze(1).expand_as(levels_bmk);
  const auto counts = at::zeros_like(levels_bmk).scatter_add_(2, bins, levels_bmk).flip(2).cumsum(2).flip(2);
  const auto all = levels_bmk.sum(2);
  return {counts.select(1, 1), counts.select(1, 0), all.narrow(1, 1, 1), all.narrow(1, 0, 1)};
}

// Sum over k of weights[k] * the tensor shifted by k - 3 along `dim`, with zeros around it.
at::Tensor smooth(const at::Tensor& x_bhw, int64_t dim) {
  constexpr int64_t radius = 3;
  std::array<double, 2 * radius + 1> weights{};
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k) {
    sum += weights[static_cast<std::size_t>(k + radius)] = std::exp(-static_cast<double>(k * k) / 50);
  }
  const auto length = x_bhw.size(dim);
  const auto padded = at::constant_pad_nd(
      x_bhw, dim == 2 ? std::vector<int64_t>{radius, radius} : std::vector<int64_t>{0, 0, radius, radius});
  auto smoothed = at::zeros_like(x_bhw);
  for (std::size_t k = 0; k < weights.size(); ++k) {
    smoothed.add_(padded.narrow(dim, static_cast<int64_t>(k), length), weights[k] / sum);
  }
  return smoothed;
}

void check(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw) {
  TORCH_CHECK(pred_bhw.dim() == 3 && pred_bhw.sizes() == mask_bhw.sizes() && pred_bhw.numel() > 0, "predictions ",
              pred_bhw.sizes(), " and masks ", mask_bhw.sizes(), " must have one size [B, H, W]");
  TORCH_CHECK(pred_bhw.scalar_type() == at::kByte && mask_bhw.scalar_type() == at::kByte &&
                  pred_bhw.device() == mask_bhw.device(),
              "predictions and masks must be uint8 on one device");
}

// Means over images, then of the mean curves.
constexpr std::array score_names{"Smeasure", "wFmeasure", "MAE",    "IoU",   "adpEm",
                                 "adpFm",    "meanEm",    "meanFm", "maxEm", "maxFm"};
constexpr int64_t mean_count = std::ssize(score_names) - 4, curve_count = 2 * 256;

}  // namespace

at::Tensor weighted_f_measure(const at::Tensor& value_bhw, const at::Tensor& mask_bhw) {
  const auto mask = mask_bhw.to(at::kDouble);
  const auto error = (value_bhw - mask).abs();
  const auto [nearest, squares] = nearest_foreground(mask_bhw);
  const auto spread = error.flatten(1).gather(1, nearest).view_as(error);  // of an object's pixel its own
  const auto smoothed = smooth(smooth(spread, 2), 1);
  const auto missed = (at::minimum(error, smoothed) * mask).sum({1, 2});
  const auto weight = 2 - (std::log(0.5) / 5 * squares.to(at::kDouble).sqrt()).exp();
  const auto false_alarms = (error * (1 - mask) * weight.view_as(error)).sum({1, 2});
  const auto foreground = mask.sum({1, 2});
  const auto hits = foreground - missed;
  const auto recall = 1 - missed / foreground;
  const auto precision = hits / (hits + false_alarms + eps);
  const auto score = 2 * recall * precision / (recall + precision + eps);
  return at::where(foreground == 0, at::zeros_like(score), score);
}

at::Tensor BatchScores::sums(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw) {
  check(pred_bhw, mask_bhw);
  const auto mask = mask_bhw > 128;
  const auto levels_bqmk = count_levels(pred_bhw, mask);
  const auto levels = levels_bqmk.sum(1);
  const auto values = level_values(pred_bhw);
  const auto value_bhw = values.gather(1, pred_bhw.flatten(1).to(at::kLong)).view_as(pred_bhw);
  const auto threshold = (2 * (levels.sum(1) * values).sum(1, true) / levels.sum({1, 2}).unsqueeze(1)).clamp_max(1);
  const Decisions adaptive = decide(levels, values >= threshold);
  const Decisions binary = decide(levels, values > 0.5);
  const Decisions curve = decide_by_threshold(levels, values);
  const auto iou = quotient(binary.tp, binary.fp + binary.foreground);
  const auto means = at::stack({s_measure(levels_bqmk, values), weighted_f_measure(value_bhw, mask),
                                mean_absolute_error(levels, values), iou.squeeze(1), e_measure(adaptive).squeeze(1),
                                f_measure(adaptive).squeeze(1)})
                         .sum(1);
  const auto curves = at::stack({e_measure(curve), f_measure(curve)}).sum(1);
  return at::cat({means, curves.flatten()});
}

void BatchScores::add(const at::Tensor& sums, int64_t images) {
  sums_ = n_ == 0 ? sums : sums_ + sums;
  n_ += images;
}

std::vector<std::string> BatchScores::names() { return {score_names.begin(), score_names.end()}; }

void BatchScores::add_up(dist::Group& group) {
  const auto row = at::zeros({1 + mean_count + curve_count}, at::kDouble);
  if (n_ > 0) {
    row[0].fill_(n_);
    row.narrow(0, 1, sums_.numel()).copy_(sums_);
  }
  group.sum(row);
  n_ = static_cast<int64_t>(row[0].item<double>());
  sums_ = row.narrow(0, 1, row.numel() - 1);
}

std::map<std::string, double> BatchScores::summary() const {
  if (n_ == 0) throw core::Error("no image was scored");
  const auto means = sums_ / n_;
  const auto curves = means.narrow(0, mean_count, curve_count).view({2, 256});
  const auto host = at::cat({means.narrow(0, 0, mean_count), curves.mean(1), curves.amax(1)}).cpu();
  const auto* value = host.const_data_ptr<double>();
  std::map<std::string, double> scores;
  for (const char* name : score_names) scores[name] = *value++;
  return scores;
}

}  // namespace codmoe::metrics
