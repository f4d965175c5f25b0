#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "benchmarks/compare.h"
#include "benchmarks/experts.h"

namespace codmoe::bench {

namespace {

using Records = std::vector<Record>;

constexpr int kNameWidth = 10, kFormWidth = 20;

/// The records of one dtype and pass.
struct Group {
  std::string dtype, pass;
  Records records;
  std::vector<int64_t> batches;  ///< in their order

  bool on_gpu() const { return records.front().gpu_ms.has_value(); }
  int cell_width() const { return on_gpu() ? 19 : 9; }

  const Record* find(const std::string& expert, const std::string& form, int64_t batch) const {
    const auto found = std::ranges::find_if(
        records, [&](const Record& r) { return r.expert == expert && r.form == form && r.batch == batch; });
    return found == records.end() ? nullptr : &*found;
  }
  const Record* find(const std::string& expert, const std::string& form) const {
    return find(expert, form, std::ranges::max(batches));
  }
};

std::vector<Group> group_records(const Records& records) {
  std::vector<Group> groups;
  for (const auto& record : records) {
    auto place =
        std::ranges::find_if(groups, [&](const Group& g) { return g.dtype == record.dtype && g.pass == record.pass; });
    if (place == groups.end()) place = groups.insert(place, {record.dtype, record.pass, {}, {}});
    place->records.push_back(record);
    if (std::ranges::find(place->batches, record.batch) == place->batches.end()) place->batches.push_back(record.batch);
  }
  return groups;
}

std::string time_cell(const Record& record) {
  if (!record.gpu_ms) return fmt::format("{:.3f}", record.median_ms);
  return fmt::format("{:.3f} ({:.3f}{})", record.median_ms, *record.gpu_ms, record.gpu_queued == false ? "*" : "");
}

/// How many times the new form's time an old form takes.
std::string ratio_cell(const Record& old_form, const Record* new_form) {
  if (new_form == nullptr || old_form.form == new_form->form) return "";
  const auto latency = fmt::format("{:.2f}", old_form.median_ms / new_form->median_ms);
  if (!old_form.gpu_ms || !new_form->gpu_ms) return latency;
  return fmt::format("{} ({:.2f})", latency, *old_form.gpu_ms / *new_form->gpu_ms);
}

std::string form_row(const Group& group, const Record& last) {
  auto text = fmt::format("{:<{}} {:<{}}", *last.expert, kNameWidth, *last.form, kFormWidth);
  for (const int64_t batch : group.batches) {
    const auto* record = group.find(*last.expert, *last.form, batch);
    text += fmt::format(" {:>{}}", record == nullptr ? "-" : time_cell(*record), group.cell_width());
  }
  const auto mega = last.flops ? fmt::format("{:.2f}", static_cast<double>(*last.flops) / 1e6 / last.batch) : "-";
  return text + fmt::format(" {:>13} {:>10} {:>11}\n", ratio_cell(last, group.find(*last.expert, "new")), mega,
                            last.parameters.value_or(0));
}

std::string form_table(const Group& group) {
  auto text = fmt::format("\n{} {}, ms: latency{}\n{:<{}} {:<{}}", group.dtype, group.pass,
                          group.on_gpu() ? " (GPU's own time)" : "", "expert", kNameWidth, "form", kFormWidth);
  for (const int64_t batch : group.batches)
    text += fmt::format(" {:>{}}", fmt::format("B={}", batch), group.cell_width());
  text += fmt::format(" {:>13} {:>10} {:>11}\n", "old/new", "MFLOP/img", "parameters");
  for (const auto& record : group.records) {
    if (record.batch == std::ranges::max(group.batches)) text += form_row(group, record);
  }
  return text;
}

/// "12.3 % less time than NAME (noise 2 %), 11.0 % less GPU time"
std::string saving(const Record& now, const Record& before, const char* name) {
  const auto percent = [](double ratio, const char* what) {
    return fmt::format("{:.1f} % {} {}", 100 * std::abs(1 - ratio), ratio <= 1 ? "less" : "more", what);
  };
  auto text = fmt::format("{} than {} (noise {:.1f} %)", percent(now.median_ms / before.median_ms, "time"), name,
                          100 * ratio_error(before, now));
  if (now.gpu_ms && before.gpu_ms) text += ", " + percent(*now.gpu_ms / *before.gpu_ms, "GPU time");
  return text;
}

std::string claims(const Group& group) {
  std::string text;
  const auto compare = [&](const char* expert, const char* old_form, const char* claim, auto&& truth) {
    const auto *now = group.find(expert, "new"), *before = group.find(expert, old_form);
    if (now != nullptr && before != nullptr) text += fmt::format("  {}; here {}\n", claim, truth(*now, *before));
  };
  compare("frequency", "pooled twice", "pooling once: claimed 10 % faster",
          [](const Record& now, const Record& before) { return saving(now, before, "pooling twice"); });
  compare("contrast", "depthwise + two 1x1", "contrast: claimed 25 % fewer parameters",
          [](const Record& now, const Record& before) {
            const auto ratio = static_cast<double>(now.parameters.value()) / before.parameters.value();
            return fmt::format("{:.2f} times as many ({} against {}), {}", ratio, *now.parameters, *before.parameters,
                               saving(now, before, "the old form"));
          });
  compare("layer", "sequential", "batching: claimed 30-40 % faster",
          [](const Record& now, const Record& before) { return saving(now, before, "sequential"); });
  if (text.empty()) return text;
  return fmt::format("the guide's claims, {} {}, batch {}:\n{}", group.dtype, group.pass,
                     std::ranges::max(group.batches), text);
}

}  // namespace

std::string format_experts(const Records& records) {
  if (records.empty()) return "";
  const auto& first = records.front();
  const auto pool = std::ranges::find(records, std::optional<std::string>("layer"), &Record::expert);
  auto text = fmt::format("{}: {} channels, {}x{} on {}; seed {}", first.case_name, first.channels, first.height,
                          first.width, first.device, first.seed);
  if (pool != records.end())
    text += fmt::format("; layer: dispatch batched, top-{} {} routing, {} sets of routes", pool->top_k, pool->routing,
                        pool->route_sets);
  text +=
      "\nold/new: time of an old form over the new one's, at the largest batch; MFLOP: convolutions and attention "
      "products, not pooling, filters, norms and activations\n";
  bool starred = false;
  for (const auto& record : records) starred = starred || record.gpu_queued == false;
  if (starred) text += "* synchronises with the host, so that the GPU's time holds waiting for it\n";
  for (const auto& some : group_records(records)) text += form_table(some) + claims(some);
  return text;
}

}  // namespace codmoe::bench
