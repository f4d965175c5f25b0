#include "codmoe/config/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>

namespace codmoe::config {

namespace {

namespace fs = std::filesystem;
using core::Json;

/// Turns nodes into JSON and notes every key's line.
class Converter {
 public:
  Converter(std::string name, fs::path base, core::Origins& origins)
      : name_(std::move(name)), base_(std::move(base)), origins_(origins) {}

  /// @throws core::UsageError for a tree too deep or too large, such as that of an alias within its own anchor.
  Json convert(const YAML::Node& node, const std::string& path) {
    if (depth_ >= most_deep || ++nodes_ > most_nodes) {
      throw core::UsageError(fmt::format("{}: more than {} levels deep or {} values, its aliases written out",
                                         place(node), most_deep, most_nodes));
    }
    origins_[path] = {place(node), base_};
    ++depth_;
    Json value = collection_or_scalar(node, path);
    --depth_;
    return value;
  }

 private:
  static constexpr int most_deep = 64;
  static constexpr int most_nodes = 100000;

  Json collection_or_scalar(const YAML::Node& node, const std::string& path) {
    if (node.IsMap()) return mapping(node, path);
    if (node.IsSequence()) return sequence(node, path);
    return node.IsScalar() ? scalar(node) : Json();
  }

  std::string place(const YAML::Node& node) const {
    return node.Mark().is_null() || name_.starts_with("--") ? name_ : fmt::format("{}:{}", name_, node.Mark().line + 1);
  }

  Json mapping(const YAML::Node& node, const std::string& path) {
    Json map = Json::object();
    for (const auto& pair : node) {
      const auto key = pair.first.as<std::string>();
      if (map.contains(key)) throw core::UsageError(fmt::format("{}: {} is given twice", place(pair.first), key));
      const auto child = path.empty() ? key : path + "." + key;
      map[key] = convert(pair.second, child);
      if (!pair.second.IsMap()) origins_[child].place = place(pair.first);
    }
    return map;
  }

  Json sequence(const YAML::Node& node, const std::string& path) {
    Json list = Json::array();
    for (std::size_t i = 0; i < node.size(); ++i) list.push_back(convert(node[i], fmt::format("{}.{}", path, i)));
    return list;
  }

  static Json scalar(const YAML::Node& node) {
    const auto& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (text == "true" || text == "True") return true;
    if (text == "false" || text == "False") return false;
    int64_t whole = 0;
    const auto* end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, whole); read.ptr == end && read.ec == std::errc())
      return whole;
    double number = 0;
    return YAML::convert<double>::decode(node, number) ? Json(number) : Json(text);
  }

  std::string name_;
  fs::path base_;
  core::Origins& origins_;
  int depth_ = 0;
  int nodes_ = 0;
};

}  // namespace

Tree read_yaml(const fs::path& file) {
  Tree tree;
  try {
    const auto root = YAML::LoadFile(file.string());
    if (root.IsNull()) return tree;
    tree.values = Converter(file.string(), fs::absolute(file).parent_path(), tree.origins).convert(root, "");
  } catch (const YAML::BadFile&) {
    throw core::UsageError(fmt::format("--config: cannot read {}", file.string()));
  } catch (const YAML::Exception& error) {
    throw core::UsageError(fmt::format("{}:{}: {}", file.string(), error.mark.line + 1, error.msg));
  }
  return tree;
}

void apply_override(Tree& tree, const std::string& assignment) {
  const auto equals = assignment.find('=');
  const auto path = assignment.substr(0, equals);
  if (equals == std::string::npos || path.empty() || path.front() == '.' || path.back() == '.' ||
      path.find("..") != std::string::npos) {
    throw core::UsageError(fmt::format("--set {}: must be key.path=value", assignment));
  }
  Json* target = &tree.values;
  for (std::size_t start = 0; start <= path.size();) {
    const auto dot = std::min(path.find('.', start), path.size());
    if (!target->is_object()) *target = Json::object();
    target = &(*target)[path.substr(start, dot - start)];
    start = dot + 1;
  }
  std::erase_if(tree.origins, [&](const auto& entry) { return entry.first.starts_with(path + "."); });
  try {
    *target = Converter("--set " + assignment, fs::current_path(), tree.origins)
                  .convert(YAML::Load(assignment.substr(equals + 1)), path);
  } catch (const YAML::Exception& error) {
    throw core::UsageError(fmt::format("--set {}: {}", assignment, error.msg));
  }
}

namespace {

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    // Quoted where plain text would be read back as something else, or as nothing.
    const auto text = value.get<std::string>();
    const YAML::Node plain = text.empty() ? YAML::Node() : YAML::Node(text);
    double number = 0;
    const bool ambiguous =
        text.empty() || text == "true" || text == "false" || YAML::convert<double>::decode(plain, number);
    if (ambiguous) out << YAML::DoubleQuoted;
    out << text;
  } else {
    out << value.dump();
  }
}

}  // namespace

std::string to_yaml(const Json& tree) {
  YAML::Emitter out;
  emit(out, tree);
  return std::string(out.c_str()) + "\n";
}

}  // namespace codmoe::config
