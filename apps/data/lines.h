// What codmoe-data info prints: lines of a name and what is to be said of it.
#pragma once

#include <string>
#include <vector>

namespace codmoe::apps {

void print_line(const char* what, const std::string& text);

/// Text of strangers on one line: what would move a terminal's cursor is replaced.
std::string plain(std::string text);
std::vector<std::string> plain(std::vector<std::string> texts);

}  // namespace codmoe::apps
