#include "codmoe/nn/inventory.h"

#include <ATen/ATen.h>

#include <set>
#include <sstream>

namespace codmoe::nn {

namespace {

/// A word of a name and the number behind it, -1 where there is none: in this order, part 10 comes after part 9.
struct Segment {
  std::string word;
  int64_t number = -1;
  auto operator<=>(const Segment&) const = default;
};
using Path = std::vector<Segment>;

/// As a module list writes it: at most nine digits, no zero in front.
bool is_index(const std::string& word) {
  const bool digits = !word.empty() && word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos;
  return digits && (word.size() == 1 || word[0] != '0');
}

/// The modules around a tensor, outermost first; the tensor itself where there are none.
Path modules_of(const std::string& name) {
  std::istringstream words(name.substr(0, name.rfind('.')));
  Path path;
  for (std::string word; std::getline(words, word, '.');) {
    if (!is_index(word)) {
      path.push_back({word, -1});
    } else if (!path.empty() && path.back().number < 0) {
      path.back().number = std::stoll(word);
    } else {
      path.push_back({"", std::stoll(word)});
    }
  }
  return path;
}

std::string text_of(const Path& path) {
  std::string text;
  for (const auto& [word, number] : path) {
    if (!text.empty()) text += '.';
    text += word;
    if (!word.empty() && number >= 0) text += '.';
    if (number >= 0) text += std::to_string(number);
  }
  return text;
}

}  // namespace

std::vector<Part> list_parts(const core::TensorMap& tensors, int64_t depth) {
  std::map<Path, Part> parts;
  parts[{}];
  for (const auto& [name, tensor] : tensors) {
    const auto modules = modules_of(name);
    for (int64_t level = 0; level <= std::min(depth, std::ssize(modules)); ++level) {
      auto& part = parts[Path(modules.begin(), modules.begin() + level)];
      part.depth = level;
      part.tensors += 1;
      part.values += tensor.numel();
      part.bytes += static_cast<int64_t>(tensor.nbytes());
    }
  }
  std::vector<Part> list;
  for (auto& [path, part] : parts) {
    part.name = text_of(path);
    list.push_back(std::move(part));
  }
  return list;
}

int64_t count_parameters(const core::TensorMap& tensors) {
  static const std::set<std::string> buffers{"running_mean", "running_var", "num_batches_tracked", "selection_bias"};
  int64_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!buffers.contains(name.substr(name.rfind('.') + 1))) count += tensor.numel();
  }
  return count;
}

std::map<std::string, int64_t> count_dtypes(const core::TensorMap& tensors) {
  static const std::map<at::ScalarType, std::string> names{
      {at::kDouble, "float64"}, {at::kFloat, "float32"}, {at::kHalf, "float16"}, {at::kBFloat16, "bfloat16"},
      {at::kLong, "int64"},     {at::kInt, "int32"},     {at::kShort, "int16"},  {at::kChar, "int8"},
      {at::kByte, "uint8"},     {at::kBool, "bool"}};
  std::map<std::string, int64_t> counts;
  for (const auto& [name, tensor] : tensors) ++counts[names.at(tensor.scalar_type())];
  return counts;
}

std::vector<std::string> find_nonfinite(const core::TensorMap& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>()) names.push_back(name);
  }
  return names;
}

}  // namespace codmoe::nn
