#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codmoe/metrics/registry.h"
#include "codmoe/report/formats.h"
#include "score_rows.h"
#include "text.h"

namespace codmoe::report {
namespace {

// A name may hold anything that a file's name may; the table is one line a row.
bool breaks_line(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string on_one_line(std::string text) {
  std::ranges::replace_if(text, breaks_line, ' ');
  return text;
}

std::string escape_markdown(std::string_view text) {
  std::string escaped;
  for (const char c : escape_markup(on_one_line(std::string(text)))) {
    if (std::string_view("\\`*_[]|~").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string escape_latex(std::string_view text) {
  static const std::map<char, std::string_view> words{{'\\', "\\textbackslash{}"},
                                                      {'~', "\\textasciitilde{}"},
                                                      {'^', "\\textasciicircum{}"},
                                                      {'<', "\\textless{}"},
                                                      {'>', "\\textgreater{}"}};
  std::string escaped;
  for (const char c : on_one_line(std::string(text))) {
    if (const auto word = words.find(c); word != words.end()) {
      escaped += word->second;
    } else {
      if (std::string_view("&%$#_{}").find(c) != std::string_view::npos) escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

std::string arrow(const metrics::Column& column, const char* up, const char* down) {
  return column.higher_is_better ? up : down;
}

// As in the papers that introduced the measures.
std::string symbol_of(const metrics::Column& column) {
  static const std::map<std::string_view, std::string_view> symbols{
      {"Smeasure", "S_\\alpha"},
      {"wFmeasure", "F_\\beta^w"},
      {"MAE", "M"},
      {"adpEm", "E_\\phi^{\\mathrm{ad}}"},
      {"meanEm", "E_\\phi^{\\mathrm{mn}}"},
      {"maxEm", "E_\\phi^{\\mathrm{mx}}"},
      {"adpFm", "F_\\beta^{\\mathrm{ad}}"},
      {"meanFm", "F_\\beta^{\\mathrm{mn}}"},
      {"maxFm", "F_\\beta^{\\mathrm{mx}}"},
  };
  const auto symbol = symbols.find(column.name);
  return symbol != symbols.end() ? std::string(symbol->second) : "\\mathrm{" + escape_latex(column.name) + "}";
}

std::string latex_header() {
  std::string text = "Dataset & Method & $n$";
  for (const std::size_t i : headline_columns()) {
    const metrics::Column& column = metrics::columns()[i];
    append(text, " & ${}{}$", symbol_of(column), arrow(column, "\\uparrow", "\\downarrow"));
  }
  return text + " \\\\\n";
}

}  // namespace

std::string to_markdown(std::span<const Evaluation> runs) {
  std::string text = "| dataset | run | n |";
  std::string rule = "\n|---|---|---:|";
  for (const std::size_t i : headline_columns()) {
    append(text, " {} {} |", metrics::columns()[i].name, arrow(metrics::columns()[i], "↑", "↓"));
    rule += "---:|";
  }
  text += rule + '\n';
  for (const ScoreRow& row : score_rows(runs)) {
    append(text, "| {} | {} | {} |", escape_markdown(row.dataset->name()), escape_markdown(row.run->run()),
           row.summary.n);
    for (const std::size_t i : headline_columns()) {
      const std::string score = format_score(row.summary.values[i]);
      text += row.is_best[i] ? " **" + score + "** |" : ' ' + score + " |";
    }
    text += '\n';
  }
  if (runs.empty()) return text;
  append(text, "\n{}\n\n", conventions(runs));
  for (const ScoreRow& row : score_rows(runs)) append(text, "- {}\n", escape_markdown(inputs_of(row, runs)));
  return text;
}

std::string to_latex(std::span<const Evaluation> runs) {
  std::string text = "% needs \\usepackage{booktabs}\n";
  if (!runs.empty()) append(text, "% {}\n", conventions(runs));
  const auto rows = score_rows(runs);
  for (const ScoreRow& row : rows) append(text, "% {}\n", on_one_line(inputs_of(row, runs)));
  append(text, "\\begin{{tabular}}{{llr{}}}\n\\toprule\n{}", std::string(headline_columns().size(), 'c'),
         latex_header());
  const DatasetResult* above = nullptr;
  for (const ScoreRow& row : rows) {
    const bool is_first = above == nullptr || above->name() != row.dataset->name();
    if (is_first) text += "\\midrule\n";
    append(text, "{} & {} & {}", is_first ? escape_latex(row.dataset->name()) : "", escape_latex(row.run->run()),
           row.summary.n);
    for (const std::size_t i : headline_columns()) {
      const std::string score = format_score(row.summary.values[i]);
      text += row.is_best[i] ? " & \\textbf{" + score + '}' : " & " + score;
    }
    text += " \\\\\n";
    above = row.dataset;
  }
  return text + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace codmoe::report
