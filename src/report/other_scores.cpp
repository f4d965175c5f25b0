#include "other_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/report/csv.h"

namespace codmoe::report {
namespace {

class ScoreReader {
 public:
  ScoreReader(std::string path, std::vector<std::string> header, std::span<const std::string> scores)
      : path_(std::move(path)),
        header_(std::move(header)),
        names_(scores.begin(), scores.end()),
        run_(place_of("run")),
        dataset_(place_of("dataset")),
        name_(place_of("name")) {
    for (const std::string& name : names_) scores_.push_back(place_of(name));
  }

  void add(const std::vector<std::string>& row, std::size_t line) {
    if (row.size() != header_.size()) {
      throw core::Error(fmt::format("{}: row {} has {} fields, the first {}", path_, line, row.size(), header_.size()));
    }
    if (images_.empty()) the_run_ = row[run_];
    if (row[run_] != the_run_) {
      throw core::Error(fmt::format("{}: holds the runs '{}' and '{}', must be one", path_, the_run_, row[run_]));
    }
    std::vector<double> scores;
    for (std::size_t k = 0; k < scores_.size(); ++k) scores.push_back(number(row[scores_[k]], line, names_[k]));
    if (!images_.emplace(ImageName{row[dataset_], row[name_]}, std::move(scores)).second) {
      throw core::Error(fmt::format("{}: row {}: image {} again", path_, line, row[name_]));
    }
  }

  ScoresByImage take() { return std::move(images_); }

 private:
  std::size_t place_of(const std::string& column) const {
    const auto found = std::ranges::find(header_, column);
    if (found == header_.end()) throw core::Error(fmt::format("{}: has no column {}", path_, column));
    return static_cast<std::size_t>(found - header_.begin());
  }

  double number(const std::string& text, std::size_t line, const std::string& column) const {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    throw core::Error(fmt::format("{}: row {}: {} '{}' must be a number", path_, line, column, text));
  }

  std::string path_;
  std::vector<std::string> header_;
  std::vector<std::string> names_;    // of the scores, and
  std::vector<std::size_t> scores_;   // the columns that hold them
  std::size_t run_, dataset_, name_;  // columns
  std::string the_run_;
  ScoresByImage images_;
};

}  // namespace

ScoresByImage read_scores(const std::filesystem::path& csv, std::span<const std::string> scores) {
  const auto rows = parse_csv(core::read_file(csv), csv.string());
  if (rows.empty()) throw core::Error(fmt::format("{}: is empty", csv.string()));
  ScoreReader reader(csv.string(), rows.front(), scores);
  for (std::size_t i = 1; i < rows.size(); ++i) reader.add(rows[i], i + 1);
  return reader.take();
}

}  // namespace codmoe::report
