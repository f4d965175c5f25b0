#include "codmoe/report/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "codmoe/core/error.h"

namespace codmoe::report {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  bool at_end() const { return at_ == text_.size(); }

  std::vector<std::string> row() {
    ++row_;
    std::vector<std::string> fields{field()};
    while (take(',')) fields.push_back(field());
    take('\r');
    if (!at_end() && !take('\n')) fail("a quote or line end within a field that is not quoted");
    return fields;
  }

 private:
  bool take(char c) {
    const bool found = at_ < text_.size() && text_[at_] == c;
    at_ += found ? 1 : 0;
    return found;
  }

  std::string field() {
    if (take('"')) return quoted();
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_of(",\"\r\n", at_), text_.size());
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted() {
    std::string field;
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"' && !take('"')) return field;
      field += c;
    }
    fail("a quote that is never closed");
  }

  [[noreturn]] void fail(const char* what) const {
    throw core::Error(fmt::format("{}: row {} has {}", where_, row_, what));
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  int64_t row_ = 0;
};

}  // namespace

std::vector<std::vector<std::string>> parse_csv(std::string_view text, const std::string& where) {
  CsvReader reader(text, where);
  std::vector<std::vector<std::string>> rows;
  while (!reader.at_end()) rows.push_back(reader.row());
  return rows;
}

}  // namespace codmoe::report
