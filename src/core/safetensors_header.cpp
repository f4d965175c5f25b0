#include "safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "codmoe/core/error.h"

namespace codmoe::core {

namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 10> dtypes{{
    {"F64", c10::ScalarType::Double},
    {"F32", c10::ScalarType::Float},
    {"F16", c10::ScalarType::Half},
    {"BF16", c10::ScalarType::BFloat16},
    {"I64", c10::ScalarType::Long},
    {"I32", c10::ScalarType::Int},
    {"I16", c10::ScalarType::Short},
    {"I8", c10::ScalarType::Char},
    {"U8", c10::ScalarType::Byte},
    {"BOOL", c10::ScalarType::Bool},
}};

/// Deepest nesting of a valid header: the header, a tensor, its shape.
constexpr std::size_t max_depth = 3;
/// Most dimensions that a torch tensor can have.
constexpr std::size_t max_dimensions = 64;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw Error(fmt::format("{}: not a valid safetensors file: {}", path.string(), what));
}

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view tensor, const std::string& what) {
  fail(path, fmt::format("tensor {}: {}", printable(tensor), what));
}

/// Refuses what nlohmann-json's parser would let through: duplicate keys and needless nesting. Not a callback of that
/// parser, which looks through all members of an object whenever one of them ends: hours for a hostile header.
class HeaderInspector : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderInspector(const std::filesystem::path& path) : path_(path) {}

  bool start_object(std::size_t /*elements*/) override { return open(); }
  bool start_array(std::size_t /*elements*/) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second) fail(path_, fmt::format("the key {} occurs twice", printable(name)));
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& /*error*/) override {
    fail(path_, fmt::format("the header is not JSON (at its byte {})", position));
  }
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const std::string& /*text*/) override { return true; }
  bool string(std::string& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }

 private:
  bool open() {
    keys_.emplace_back();
    if (keys_.size() > max_depth) fail(path_, "the header is nested too deeply");
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const std::filesystem::path& path_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each object and list that is open
};

Json parse_json(const std::filesystem::path& path, std::string_view text) {
  if (!text.starts_with('{')) fail(path, "the header is not a JSON object");
  HeaderInspector inspector(path);
  Json::sax_parse(text, &inspector);
  return Json::parse(text);
}

uint64_t read_count(const std::filesystem::path& path, std::string_view tensor, const Json& value, const char* field) {
  const bool counts = value.is_number_unsigned();
  if (!counts || value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    fail(path, tensor, fmt::format("\"{}\" must hold whole numbers from 0 to 2^63 - 1", field));
  }
  return value.get<uint64_t>();
}

/// nullopt where the extents, zeros apart, are more than a tensor's 64-bit sizes and strides can count.
std::optional<uint64_t> byte_count(const TensorEntry& entry) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(entry.dtype));
  bool empty = false;
  for (const auto extent : entry.shape) {
    empty = empty || extent == 0;
    if (extent != 0 && __builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

c10::ScalarType read_dtype(const std::filesystem::path& path, std::string_view tensor, const Json& value) {
  const auto text = value.is_string() ? value.get<std::string>() : std::string();
  const auto* found =
      std::find_if(dtypes.begin(), dtypes.end(), [&](const auto& known) { return known.first == text; });
  if (found == dtypes.end()) {
    fail(path, tensor,
         fmt::format("dtype {} is not supported (F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL are)",
                     printable(text)));
  }
  return found->second;
}

TensorEntry read_entry(const std::filesystem::path& path, const std::string& name, const Json& fields) {
  if (!fields.is_object()) fail(path, name, "its entry is not a JSON object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!fields.contains(field)) fail(path, name, fmt::format("\"{}\" is missing", field));
  }
  TensorEntry entry{.name = name, .dtype = read_dtype(path, name, fields["dtype"]), .shape = {}};
  if (!fields["shape"].is_array() || fields["shape"].size() > max_dimensions) {
    fail(path, name, fmt::format("\"shape\" is not a list of at most {} numbers", max_dimensions));
  }
  for (const auto& extent : fields["shape"]) {
    entry.shape.push_back(static_cast<int64_t>(read_count(path, name, extent, "shape")));
  }
  const auto& offsets = fields["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) fail(path, name, "\"data_offsets\" is not a list of two numbers");
  entry.begin = read_count(path, name, offsets[0], "data_offsets");
  entry.end = read_count(path, name, offsets[1], "data_offsets");
  return entry;
}

void check_extent(const std::filesystem::path& path, const TensorEntry& entry, uint64_t data_bytes) {
  const auto range = fmt::format("data_offsets [{}, {}]", entry.begin, entry.end);
  if (entry.begin > entry.end) fail(path, entry.name, range + " run backwards");
  if (entry.end > data_bytes) {
    fail(path, entry.name, fmt::format("{} reach past the file's {} bytes of tensors", range, data_bytes));
  }
  const auto bytes = byte_count(entry);
  if (!bytes || *bytes != entry.end - entry.begin) {
    fail(path, entry.name, fmt::format("{} don't match its shape and dtype", range));
  }
}

/// The format allows neither overlaps nor holes.
void check_cover(const std::filesystem::path& path, const std::vector<TensorEntry>& entries, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const auto& entry : entries) {
    check_extent(path, entry, data_bytes);
    if (entry.begin != covered) {
      fail(path, entry.name,
           fmt::format("it starts at byte {} of the tensors, {}", entry.begin,
                       entry.begin < covered ? "inside another tensor" : "after bytes that belong to no tensor"));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    fail(path, fmt::format("{} bytes after the last tensor belong to no tensor", data_bytes - covered));
  }
}

std::map<std::string, std::string> read_metadata(const std::filesystem::path& path, const Json& json) {
  std::map<std::string, std::string> metadata;
  if (!json.is_object()) fail(path, "\"__metadata__\" is not a JSON object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) fail(path, fmt::format("the metadata {} is not a text", printable(key)));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

std::string_view dtype_name(const std::filesystem::path& path, const TensorEntry& entry) {
  for (const auto& [name, dtype] : dtypes) {
    if (dtype == entry.dtype) return name;
  }
  throw Error(fmt::format("{}: tensor {}: safetensors cannot hold the dtype {}", path.string(), printable(entry.name),
                          c10::toString(entry.dtype)));
}

}  // namespace

std::string printable(std::string_view name) {
  constexpr std::size_t longest = 120;
  const std::string shown(name.substr(0, longest));
  return Json(shown).dump(-1, ' ', true, Json::error_handler_t::replace) + (name.size() > longest ? "…" : "");
}

SafetensorsHeader parse_safetensors_header(const std::filesystem::path& path, std::string_view json,
                                           uint64_t data_bytes) {
  SafetensorsHeader header;
  const auto parsed = parse_json(path, json);
  for (const auto& [name, fields] : parsed.items()) {
    if (name == "__metadata__") {
      header.metadata = read_metadata(path, fields);
    } else {
      header.entries.push_back(read_entry(path, name, fields));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_cover(path, header.entries, data_bytes);
  return header;
}

std::string format_safetensors_header(const std::filesystem::path& path, const SafetensorsHeader& header) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!header.metadata.empty()) json["__metadata__"] = header.metadata;
  for (const auto& entry : header.entries) {
    if (entry.name == "__metadata__") {
      throw Error(fmt::format("{}: no tensor may have the name __metadata__", path.string()));
    }
    json[entry.name] = {{"dtype", dtype_name(path, entry)},
                        {"shape", entry.shape},
                        {"data_offsets", std::array{entry.begin, entry.end}}};
  }
  try {
    std::string text = json.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    if (text.size() > max_header_bytes) {
      throw Error(fmt::format("{}: too many tensors: their names and shapes take more than {} bytes", path.string(),
                              max_header_bytes));
    }
    return text;
  } catch (const Json::exception&) {
    throw Error(fmt::format("{}: a tensor's name or the metadata is not UTF-8", path.string()));
  }
}

void lay_out(std::vector<TensorEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const auto a_size = c10::elementSize(a.dtype);
    const auto b_size = c10::elementSize(b.dtype);
    return a_size != b_size ? a_size > b_size : a.name < b.name;
  });
  uint64_t next = 0;
  for (auto& entry : entries) {
    entry.begin = next;
    entry.end = next += byte_count(entry).value();
  }
}

}  // namespace codmoe::core
