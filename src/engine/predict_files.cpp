#include <deque>
#include <future>

#include "codmoe/core/worker_pool.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "codmoe/engine/predictor.h"

namespace codmoe::engine {

namespace fs = std::filesystem;

namespace {

/// Reads the image of this number, on several threads at once.
using ReadImage = std::function<at::Tensor(std::size_t file)>;

struct DecodedFile {
  std::size_t file = 0;
  at::Tensor image;  // undefined unless kept
  PredictorInput input;
};

/// Files decoded ahead: as many as the next batch needs, and one a thread more.
class FileReader {
 public:
  FileReader(const Predictor& predictor, std::size_t count, const ReadImage& read, const PredictFilesOptions& options)
      : predictor_(predictor), count_(count), read_(read), options_(options), pool_(options.threads) {}

  /// The next files that can be read; none at the end.
  std::vector<DecodedFile> next_batch() {
    std::vector<DecodedFile> batch;
    while (std::ssize(batch) < options_.batch_size) {
      read_ahead();
      if (ahead_.empty()) break;
      auto decoded = std::move(ahead_.front());
      ahead_.pop_front();
      const auto file = next_++;
      try {
        batch.push_back(decoded.get());
      } catch (const std::exception& error) {
        if (!options_.on_broken) throw;
        options_.on_broken(file, error);
      }
    }
    read_ahead();
    return batch;
  }

 private:
  void read_ahead() {
    const auto most = static_cast<std::size_t>(options_.batch_size + pool_.size());
    while (ahead_.size() < most && next_ + ahead_.size() < count_) {
      ahead_.push_back(pool_.submit([this, file = next_ + ahead_.size()] { return decode(file); }));
    }
  }

  DecodedFile decode(std::size_t file) const {
    const auto image = read_(file);
    return {.file = file, .image = options_.keep_images ? image : at::Tensor(), .input = predictor_.prepare(image)};
  }

  const Predictor& predictor_;
  const std::size_t count_;
  const ReadImage& read_;
  const PredictFilesOptions& options_;
  std::size_t next_ = 0;  // file that is taken next
  std::deque<std::future<DecodedFile>> ahead_;
  core::WorkerPool pool_;  // ends first
};

struct BatchOnItsWay {
  std::vector<DecodedFile> files;
  PredictedBatch predicted;
};

BatchOnItsWay begin_batch(Predictor& predictor, std::vector<DecodedFile> files) {
  std::vector<PredictorInput> inputs;
  for (auto& file : files) inputs.push_back(std::move(file.input));
  auto predicted = predictor.predict(inputs);
  return {std::move(files), std::move(predicted)};
}

std::vector<FilePrediction> end_batch(const BatchOnItsWay& batch) {
  const auto maps = batch.predicted.maps();
  auto uses = batch.predicted.expert_use();
  uses.resize(maps.size());  // without MoE layers there are none
  std::vector<FilePrediction> predictions;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    predictions.push_back({.file = batch.files[i].file,
                           .map_hw = maps[i],
                           .image = batch.files[i].image,
                           .expert_use = std::move(uses[i])});
  }
  return predictions;
}

void predict_images(Predictor& predictor, std::size_t count, const ReadImage& read, const PredictFilesOptions& options,
                    const std::function<void(std::vector<FilePrediction>)>& use) {
  FileReader reader(predictor, count, read, options);
  std::optional<BatchOnItsWay> before;
  for (auto batch = reader.next_batch(); !batch.empty(); batch = reader.next_batch()) {
    auto now = begin_batch(predictor, std::move(batch));
    if (before) use(end_batch(*before));
    before = std::move(now);
  }
  if (before) use(end_batch(*before));
}

}  // namespace

void predict_files(Predictor& predictor, const std::vector<fs::path>& files, const PredictFilesOptions& options,
                   const std::function<void(std::vector<FilePrediction>)>& use) {
  const ReadImage read = [&](std::size_t file) { return data::read_image(files[file]); };
  predict_images(predictor, files.size(), read, options, use);
}

void evaluate_dataset(Predictor& predictor, const std::string& name, const data::Dataset& dataset, int64_t batch_size,
                      report::Evaluation& evaluation, const std::function<void(int64_t)>& progress) {
  evaluation.set_layers(predictor.layers());
  evaluation.set_test_time(describe(predictor.test_time()));
  dataset.require_size(0);  // scores are of whole masks
  const auto& items = dataset.items();
  const ReadImage read = [&](std::size_t file) { return data::read_image(items[file]); };
  std::deque<std::future<report::ImageResult>> scoring;
  core::WorkerPool pool(evaluation.options().threads);
  const auto collect = [&](std::size_t most_left) {
    for (; scoring.size() > most_left; scoring.pop_front()) evaluation.add(name, scoring.front().get());
  };
  int64_t done = 0;
  predict_images(predictor, items.size(), read, {.batch_size = batch_size},
                 [&](std::vector<FilePrediction> predictions) {
                   done += std::ssize(predictions);
                   for (auto& predicted : predictions) {
                     scoring.push_back(pool.submit([&items, &evaluation, predicted = std::move(predicted)]() mutable {
                       auto result = report::score_item(items[predicted.file], predicted.map_hw, evaluation.options());
                       result.expert_use = std::move(predicted.expert_use);
                       return result;
                     }));
                   }
                   collect(static_cast<std::size_t>(batch_size));
                   if (progress) progress(done);
                 });
  collect(0);
}

}  // namespace codmoe::engine
