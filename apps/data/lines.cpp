#include "data/lines.h"

#include <fmt/format.h>

#include <algorithm>

namespace codmoe::apps {

void print_line(const char* what, const std::string& text) { fmt::print("{:11} {}\n", what, text); }

std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

std::vector<std::string> plain(std::vector<std::string> texts) {
  for (auto& text : texts) text = plain(std::move(text));
  return texts;
}

}  // namespace codmoe::apps
