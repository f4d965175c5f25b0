#include "benchmarks/record.h"

#include <fmt/format.h>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/core/json.h"

namespace codmoe::bench {

namespace {

using core::Json;

template <class T>
void put(Json& json, const char* key, const T& value) {
  json[key] = value;
}
template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  json[key] = value ? Json(*value) : Json();
}

template <class T>
void take(const Json& json, const char* key, T& value) {
  json.at(key).get_to(value);
}
template <class T>
void take(const Json& json, const char* key, std::optional<T>& value) {
  const auto found = json.find(key);
  value = found == json.end() || found->is_null() ? std::nullopt : std::optional<T>(found->template get<T>());
}

}  // namespace

std::string way(const Record& record) {
  return record.dispatch + (record.launch == "graph" ? "+graph" : "") + (record.inputs == "cold" ? ", cold" : "");
}

Json to_json(const std::vector<Record>& records) {
  auto list = Json::array();
  for (const auto& record : records) {
    auto& item = list.emplace_back(Json::object());
    Record::fields(record, [&](const char* key, const auto& value) { put(item, key, value); });
  }
  return list;
}

std::vector<Record> read_records(const std::filesystem::path& file) {
  auto json = core::parse_json(core::read_file(file), file.string());
  try {
    std::vector<Record> records;
    for (auto& item : json) {
      item.emplace("inputs", "warm");  // where it is absent
      Record::fields(records.emplace_back(), [&](const char* key, auto& value) { take(item, key, value); });
    }
    return records;
  } catch (const Json::exception& error) {
    throw core::Error(fmt::format("{}: is no result of codmoe-bench --json: {}", file.string(), error.what()));
  }
}

void write_records(const std::filesystem::path& file, const std::vector<Record>& records) {
  core::write_file_atomically(file, to_json(records).dump(2) + "\n");
}

}  // namespace codmoe::bench
