#include "codmoe/engine/tfevents.h"

#include <gtest/gtest.h>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/engine/event_file.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

TEST(Tfevents, ChecksumsAreThoseOfTheStandard) {
  EXPECT_EQ(tfevents::crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(tfevents::crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(tfevents::crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(tfevents::crc32c(""), 0U);
}

TEST(Tfevents, BytesAreThoseOfTensorBoardsOwnWriter) {
  const std::vector<tfevents::Scalar> scalars = {
      {"train/loss", 1.25}, {"moe/0/load/texture", 0.1}, {std::string(200, 't'), -3e20}};
  const std::vector<tfevents::Histogram> histograms = {{"moe.0/experts", {5, 1, 2}}};
  const std::vector<tfevents::Image> images = {{"predictions/a b", 160, 300, std::string("\x89PNG\0bytes", 10)}};
  const auto bytes = tfevents::record(tfevents::version_event(1700000000.25)) +
                     tfevents::record(tfevents::start_event(1700000001.5, 301)) +
                     tfevents::record(tfevents::scalars_event(1700000002.75, 5'000'000'000, scalars)) +
                     tfevents::record(tfevents::histograms_event(1700000003.5, 7, histograms)) +
                     tfevents::record(tfevents::images_event(1700000004.5, 7, images));
  EXPECT_EQ(bytes, core::read_file(fs::path(CODMOE_SOURCE_DIR) / "tests/engine/data/tensorboard.tfevents"));
}

/// The messages of a file, by the framing alone.
std::vector<std::string> messages(const fs::path& file) {
  const auto bytes = core::read_file(file);
  std::vector<std::string> found;
  for (std::size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    for (std::size_t i = 0; i < 8; ++i) length |= uint64_t{static_cast<unsigned char>(bytes.at(at + i))} << 8 * i;
    found.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(bytes.substr(at, 16 + length), tfevents::record(found.back()));
    at += 16 + length;
  }
  return found;
}

TEST(EventFile, BeginsWithVersionAndStepThenHoldsWhatWasWritten) {
  const test::TemporaryFolder folder;
  EventFile file(folder, 20);
  const std::vector<tfevents::Scalar> scalars = {{"train/loss", 0.5}};
  file.write(21, scalars);
  const auto found = messages(file.path());
  ASSERT_EQ(found.size(), 3U);
  // Behind the wall time, which takes the first nine bytes.
  EXPECT_EQ(found[0].substr(9), tfevents::version_event(0).substr(9));
  EXPECT_EQ(found[1].substr(9), tfevents::start_event(0, 21).substr(9));
  EXPECT_EQ(found[2].substr(9), tfevents::scalars_event(0, 21, scalars).substr(9));
}

TEST(EventFile, SortsBehindEarlierOnesEvenOfAFastClock) {
  const test::TemporaryFolder folder;
  const auto first = EventFile(folder, 0).path();
  const auto second = EventFile(folder, 5).path();
  EXPECT_TRUE(first.filename().string().starts_with("events.out.tfevents.1")) << first;
  EXPECT_LT(first.filename().string(), second.filename().string());
  fs::rename(second, folder / "events.out.tfevents.9000000000.other");
  EXPECT_TRUE(EventFile(folder, 9).path().filename().string().starts_with("events.out.tfevents.9000000001."));
}

TEST(EventFile, NamesAFileThatCannotBeWritten) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(EventFile(folder / "absent", 0), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
