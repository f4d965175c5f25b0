// One measured case, as it stands in the JSON of codmoe-bench.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace codmoe::bench {

/// What could not be measured or computed, or does not apply, is null in JSON; where it is absent, it is read as null.
struct Record {
  std::string case_name = {};                          ///< "layer", "experts", "model", "train", "data", "metrics"
  std::string device;                                  ///< its name
  std::optional<std::string> expert = std::nullopt;    ///< of "experts": which, or "layer" for a whole pool of them
  std::optional<std::string> form = std::nullopt;      ///< of "experts": "new", or the old one that it replaces;
                                                       ///< of "data" and "metrics": the stage
  std::optional<std::string> backbone = std::nullopt;  ///< of "model" and "train": its name
  std::optional<bool> frozen_norm = std::nullopt;      ///< of "model"
  std::optional<int64_t> threads = std::nullopt;       ///< of "data" and "metrics": workers
  std::string dtype = {}, memory_format = {}, pass = {};
  std::string dispatch = {};                         ///< empty for one expert alone
  std::optional<std::string> launch = std::nullopt;  ///< of a dispatch or a backbone: "eager" or "graph"
  std::string inputs = "warm";                       ///< or "cold"; results older than this field are warm
  int64_t batch = 0, channels = 0, height = 0, width = 0, top_k = 0;
  std::string routing = {};       ///< "global" or "spatial"; empty for one expert alone
  std::vector<double> load = {};  ///< share of the assignments an expert, mean over the sets of routes
  int64_t route_sets = 0, seed = 0, runs = 0;
  double median_ms = 0, p95_ms = 0, min_ms = 0;   ///< latency
  std::optional<double> gpu_ms = std::nullopt;    ///< the GPU's own time, median
  std::optional<bool> gpu_queued = std::nullopt;  ///< false: gpu_ms holds waiting for the host
  double images_per_s = 0;                        ///< from median_ms
  std::optional<int64_t> peak_bytes = std::nullopt;
  std::optional<int64_t> parameters = std::nullopt;  ///< of the module that was timed
  std::optional<int64_t> flops = std::nullopt;       ///< needed by the routes, mean over their sets
  std::optional<int64_t> bytes = std::nullopt;       ///< the same
  std::optional<double> roofline_ms = std::nullopt;  ///< what those take at this device's measured ceilings

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("case", self.case_name);
    visit("expert", self.expert);
    visit("form", self.form);
    visit("backbone", self.backbone);
    visit("frozen_norm", self.frozen_norm);
    visit("threads", self.threads);
    visit("device", self.device);
    visit("dtype", self.dtype);
    visit("memory_format", self.memory_format);
    visit("dispatch", self.dispatch);
    visit("launch", self.launch);
    visit("pass", self.pass);
    visit("inputs", self.inputs);
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
    visit("parameters", self.parameters);
    visit("flops", self.flops);
    visit("bytes", self.bytes);
    visit("roofline_ms", self.roofline_ms);
  }
};

/// The dispatch as tables name it: "dense", "dense+graph", or "dense+graph, cold".
std::string way(const Record& record);

nlohmann::ordered_json to_json(const std::vector<Record>& records);

/// @throws core::Error naming the file and what is wrong with it.
std::vector<Record> read_records(const std::filesystem::path& file);
void write_records(const std::filesystem::path& file, const std::vector<Record>& records);

/// What the cases have in common, then a table of one row a case, for a terminal.
std::string format_table(const std::vector<Record>& records);

}  // namespace codmoe::bench
