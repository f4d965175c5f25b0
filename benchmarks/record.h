// One measured case, as it stands in the JSON of codmoe-bench.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace codmoe::bench {

/// What could not be measured or computed is null in JSON.
struct Record {
  std::string case_name;  ///< "layer"
  std::string device;     ///< its name
  std::string dtype, memory_format, dispatch, pass;
  int64_t batch = 0, channels = 0, height = 0, width = 0, top_k = 0;
  std::string routing;            ///< "global" or "spatial"
  std::vector<double> load = {};  ///< share of the assignments an expert, mean over the sets of routes
  int64_t route_sets = 0, seed = 0, runs = 0;
  double median_ms = 0, p95_ms = 0, min_ms = 0;   ///< latency
  std::optional<double> gpu_ms = std::nullopt;    ///< the GPU's own time, median
  std::optional<bool> gpu_queued = std::nullopt;  ///< false: gpu_ms holds waiting for the host
  double images_per_s = 0;                        ///< from median_ms
  std::optional<int64_t> peak_bytes = std::nullopt;
  std::optional<int64_t> flops = std::nullopt;       ///< needed by the routes, mean over their sets
  std::optional<int64_t> bytes = std::nullopt;       ///< the same
  std::optional<double> roofline_ms = std::nullopt;  ///< what those take at this device's measured ceilings

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("case", self.case_name);
    visit("device", self.device);
    visit("dtype", self.dtype);
    visit("memory_format", self.memory_format);
    visit("dispatch", self.dispatch);
    visit("pass", self.pass);
    visit("batch", self.batch);
    visit("channels", self.channels);
    visit("height", self.height);
    visit("width", self.width);
    visit("top_k", self.top_k);
    visit("routing", self.routing);
    visit("load", self.load);
    visit("route_sets", self.route_sets);
    visit("seed", self.seed);
    visit("runs", self.runs);
    visit("median_ms", self.median_ms);
    visit("p95_ms", self.p95_ms);
    visit("min_ms", self.min_ms);
    visit("gpu_ms", self.gpu_ms);
    visit("gpu_queued", self.gpu_queued);
    visit("images_per_s", self.images_per_s);
    visit("peak_bytes", self.peak_bytes);
    visit("flops", self.flops);
    visit("bytes", self.bytes);
    visit("roofline_ms", self.roofline_ms);
  }
};

nlohmann::ordered_json to_json(const std::vector<Record>& records);

/// @throws core::Error naming the file and what is wrong with it.
std::vector<Record> read_records(const std::filesystem::path& file);
void write_records(const std::filesystem::path& file, const std::vector<Record>& records);

/// What the cases have in common, then a table of one row a case, for a terminal.
std::string format_table(const std::vector<Record>& records);

}  // namespace codmoe::bench
