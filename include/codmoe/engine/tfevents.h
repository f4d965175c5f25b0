// The bytes of TensorBoard's event files.
//
// Formats: TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details), CRC-32C (RFC
// 3720, appendix B.4), protocol buffers (https://protobuf.dev/programming-guides/encoding) of Event and Summary
// (tensorboard/compat/proto/{event,summary}.proto of https://github.com/tensorflow/tensorboard).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace codmoe::engine::tfevents {

/// One value of a step. TensorBoard stores it as float32 and groups tags by what stands before their first '/'.
struct Scalar {
  std::string tag;
  double value = 0.0;
};

/// How often each of 0, 1, 2, … came, [0] the first: a bar each in TensorBoard's histograms.
struct Histogram {
  std::string tag;
  std::vector<double> counts;
};

struct Image {
  std::string tag;
  int64_t height = 0, width = 0;
  std::string png;  ///< the file's bytes, RGB
};

/// CRC-32C (Castagnoli polynomial, reflected): of "123456789" it is 0xE3069283.
uint32_t crc32c(std::string_view bytes);

/// A message in its frame: length, checksum of the length, message, checksum of the message.
std::string record(std::string_view message);

// Event messages; wall times in seconds since 1970.

/// The first message of a file: which version of the format follows.
std::string version_event(double wall_time);

/// Tells a reader that the run goes on at `step`: what earlier files of the folder say of this step and later ones no
/// longer holds.
std::string start_event(double wall_time, int64_t step);

std::string scalars_event(double wall_time, int64_t step, std::span<const Scalar> scalars);
std::string histograms_event(double wall_time, int64_t step, std::span<const Histogram> histograms);
std::string images_event(double wall_time, int64_t step, std::span<const Image> images);

}  // namespace codmoe::engine::tfevents
