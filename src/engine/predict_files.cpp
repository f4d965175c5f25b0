#include <deque>
#include <future>

#include "codmoe/core/worker_pool.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "codmoe/engine/predictor.h"
#include "prediction_message.h"

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
  if (files.empty()) {
    predictor.take_part();
    return {};
  }
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

/// `rounds`: at least so many batches, the last of them of none where the images don't fill them.
void predict_images(Predictor& predictor, std::size_t count, const ReadImage& read, const PredictFilesOptions& options,
                    const std::function<void(std::vector<FilePrediction>)>& use, int64_t rounds = 0) {
  FileReader reader(predictor, count, read, options);
  std::optional<BatchOnItsWay> before;
  for (int64_t round = 0;; ++round) {
    auto batch = reader.next_batch();
    if (batch.empty() && round >= rounds) break;
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

namespace {

/// The images of every R-th batch, from this rank's on.
std::vector<std::size_t> part_of(std::size_t images, int64_t batch_size, const Ranks& ranks) {
  std::vector<std::size_t> part;
  for (std::size_t i = 0; i < images; ++i) {
    if (static_cast<int64_t>(i) / batch_size % ranks.ranks() == ranks.rank()) part.push_back(i);
  }
  return part;
}

/// Every rank's batch, in the order of the images, on the leader; nothing on the others.
std::vector<FilePrediction> to_leader(std::vector<FilePrediction> own, const Ranks& ranks) {
  if (ranks.group() == nullptr) return own;
  const auto messages = ranks.group()->gather(write_predictions(own));
  std::vector<FilePrediction> all;
  if (!ranks.leads()) return all;
  for (const auto& message : messages) std::ranges::move(read_predictions(message), std::back_inserter(all));
  return all;
}

/// Predicts images batch after batch, by turns on the ranks; `use` is called on the leader.
void predict_on_ranks(Predictor& predictor, std::size_t images, const ReadImage& read, int64_t batch_size,
                      const Ranks& ranks, const std::function<void(std::vector<FilePrediction>)>& use) {
  const auto part = part_of(images, batch_size, ranks);
  const auto a_round = static_cast<std::size_t>(batch_size * ranks.ranks());
  const auto rounds = static_cast<int64_t>((images + a_round - 1) / a_round);
  const ReadImage read_own = [&](std::size_t i) { return read(part[i]); };
  const auto end_round = [&](std::vector<FilePrediction> batch) {
    for (auto& one : batch) one.file = part[one.file];
    ranks.beat("predicting");
    auto all = to_leader(std::move(batch), ranks);
    if (ranks.leads()) use(std::move(all));
  };
  predict_images(predictor, part.size(), read_own, {.batch_size = batch_size}, end_round, rounds);
}

}  // namespace

void evaluate_dataset(Predictor& predictor, const std::string& name, const data::Dataset& dataset, int64_t batch_size,
                      report::Evaluation& evaluation, const std::function<void(int64_t)>& progress,
                      const Ranks& ranks) {
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
  predict_on_ranks(predictor, items.size(), read, batch_size, ranks, [&](std::vector<FilePrediction> predictions) {
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
