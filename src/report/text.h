// Pieces of text.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace codmoe::report {

template <class... Args>
void append(std::string& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

/// "a, b, c and 4 more": at most `most` of them.
std::string list_names(std::span<const std::string> names, std::size_t most);

/// Rows of as many cells, in columns two spaces apart: the first `names` to the left, numbers to the right.
std::string align(const std::vector<std::vector<std::string>>& rows, std::size_t names);

/// The head of a self-contained page up to and with its first heading.
std::string begin_page(std::string_view title, std::string_view more_style = "");

/// For text and quoted attributes of HTML and SVG.
std::string escape_markup(std::string_view text);

}  // namespace codmoe::report
