#include "codmoe/core/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "codmoe/core/files.h"
#include "safetensors_fixture.h"

namespace codmoe::core {
namespace {

using Metadata = std::map<std::string, std::string>;

void expect_same_bits(const at::Tensor& actual, const at::Tensor& expected) {
  ASSERT_EQ(actual.scalar_type(), expected.scalar_type());
  ASSERT_EQ(actual.sizes(), expected.sizes());
  if (expected.numel() == 0) return;  // memcmp of null pointers is undefined even for no bytes
  EXPECT_EQ(std::memcmp(actual.const_data_ptr(), expected.const_data_ptr(), expected.nbytes()), 0);
}

// Written by the safetensors package for Python (0.8.0): two tensors, metadata, and what follows.
const std::string python_header =
    R"({"__metadata__":{"by":"python"},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
    R"("w":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
    R"("h":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]}})";

TEST_F(SafetensorsTest, ReadsAFileWrittenByThePythonPackage) {
  std::string bytes = "\xc8";
  bytes.resize(8, '\0');
  bytes += python_header;
  bytes.resize(8 + 0xc8, ' ');
  bytes += std::string("\x07\0\0\0\0\0\0\0", 8);                               // 7
  bytes += std::string("\0\0\x80\x3f\0\0\0\xc0\0\0\x40\x40\0\0\x80\x7f", 16);  // 1, -2, 3, inf
  bytes += std::string("\x80\x3f\0\xc0\x40\x40", 6);                           // 1, -2, 3
  write(bytes);
  const auto file = load_safetensors(path_);
  EXPECT_EQ(file.metadata, (Metadata{{"by", "python"}}));
  ASSERT_EQ(file.tensors.size(), 3U);
  expect_same_bits(file.tensors.at("n"), at::scalar_tensor(7, at::kLong));
  const auto infinity = std::numeric_limits<float>::infinity();
  expect_same_bits(file.tensors.at("w"), at::tensor({1.F, -2.F, 3.F, infinity}).view({2, 2}));
  expect_same_bits(file.tensors.at("h"), at::tensor({1.F, -2.F, 3.F}).to(at::kBFloat16));
}

TEST_F(SafetensorsTest, WritesTheBytesThatThePythonPackageReads) {
  // Largest element first, then by name; the header is padded to a multiple of 8.
  save_safetensors(path_, {{"a", bools({true, false})}, {"b", at::tensor({258}, at::kInt)}}, {{"k", "v"}});
  const std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},)"
                             R"("a":{"dtype":"BOOL","shape":[2],"data_offsets":[4,6]}})";
  std::string expected = std::string("\x88\0\0\0\0\0\0\0", 8) + header;
  expected.resize(8 + 0x88, ' ');
  expected += std::string("\x02\x01\0\0\x01\0", 6);
  EXPECT_EQ(read_file(path_), expected);
}

TEST_F(SafetensorsTest, RoundTripsTheBitsOfEveryDtype) {
  TensorMap tensors;
  const auto bits = at::arange(96, at::kByte) * 37 + 11;
  for (const auto dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar, at::kByte}) {
    tensors[std::string("t.") + c10::toString(dtype)] = bits.view(dtype).view({2, -1, 2}).clone();
  }
  tensors["bool"] = bools({true, false, true});
  tensors["scalar"] = at::scalar_tensor(-0.0, at::kDouble);
  tensors["empty"] = at::empty({3, 0, 2}, at::kHalf);
  tensors["nan"] = at::tensor({std::numeric_limits<float>::quiet_NaN()});
  tensors["the \"näme\"\n"] = at::ones({1});
  const Metadata metadata{{"format", "pt"}, {"empty", ""}};
  save_safetensors(path_, tensors, metadata);
  const auto file = load_safetensors(path_);
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    SCOPED_TRACE(name);
    expect_same_bits(file.tensors.at(name), tensor);
  }
}

TEST_F(SafetensorsTest, AMappedFileHoldsTheSameAndOutlivesItsName) {
  const auto halves = at::arange(5).to(at::kHalf), bytes = at::arange(7).to(at::kByte);
  save_safetensors(path_, {{"halves", halves}, {"bytes", bytes}, {"none", at::empty({0, 3})}}, {{"k", "v"}});
  const auto mapped = map_safetensors(path_);
  save_safetensors(path_, {{"other", at::zeros({1000})}});
  EXPECT_EQ(mapped.metadata, (Metadata{{"k", "v"}}));
  ASSERT_EQ(mapped.tensors.size(), 3U);
  expect_same_bits(mapped.tensors.at("halves"), halves);
  expect_same_bits(mapped.tensors.at("bytes"), bytes);
  expect_same_bits(mapped.tensors.at("none"), at::empty({0, 3}));
}

TEST_F(SafetensorsTest, WritingToAMappedTensorLeavesTheFile) {
  save_safetensors(path_, {{"a", at::ones({3})}});
  map_safetensors(path_).tensors.at("a").fill_(2);
  expect_same_bits(load_safetensors(path_).tensors.at("a"), at::ones({3}));
}

TEST_F(SafetensorsTest, MapsWhatLiesBetweenTheAddressesOfItsType) {
  write_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]} })", 8);
  const auto tensor = map_safetensors(path_).tensors.at("a");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 4, 0U);
  expect_same_bits(tensor, at::zeros({2}));
}

TEST_F(SafetensorsTest, SavesStridedTensorsInTheirLogicalOrder) {
  const auto base = at::arange(24, at::kFloat).view({2, 3, 4});
  const auto channels_last = base.view({2, 3, 2, 2}).contiguous(at::MemoryFormat::ChannelsLast);
  save_safetensors(path_, {{"t", base.transpose(0, 2)}, {"cl", channels_last}, {"row", base.select(1, 2)}});
  const auto file = load_safetensors(path_);
  EXPECT_TRUE(file.tensors.at("t").is_contiguous());
  EXPECT_TRUE(file.tensors.at("t").equal(base.transpose(0, 2)));
  EXPECT_TRUE(file.tensors.at("cl").equal(channels_last));
  EXPECT_TRUE(file.tensors.at("row").equal(base.select(1, 2)));
}

TEST_F(SafetensorsTest, AnEmptyMapRoundTrips) {
  save_safetensors(path_, {});
  EXPECT_TRUE(load_safetensors(path_).tensors.empty());
}

TEST_F(SafetensorsTest, RefusesToSaveWhatTheFormatCannotHold) {
  EXPECT_THROW(save_safetensors(path_, {{"c", at::zeros({1}, at::kComplexFloat)}}), Error);
  EXPECT_THROW(save_safetensors(path_, {{"u", at::Tensor()}}), Error);
  EXPECT_THROW(save_safetensors(path_, {{"__metadata__", at::zeros({1})}}), Error);
  EXPECT_THROW(save_safetensors(path_, {{"\xff", at::zeros({1})}}), Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SafetensorsTest, AFailedSaveLeavesTheOldFile) {
  save_safetensors(path_, {{"a", at::ones({2})}});
  const auto before = read_file(path_);
  EXPECT_THROW(save_safetensors(path_, {{"a", at::zeros({2})}, {"b", at::Tensor()}}), Error);
  EXPECT_EQ(read_file(path_), before);
}

TEST_F(SafetensorsTest, NamesAMissingFileAndAFolder) {
  EXPECT_NE(refusal().find("no such file"), std::string::npos);
  path_ = folder_.path();
  EXPECT_NE(refusal().find("not a file"), std::string::npos);
}

}  // namespace
}  // namespace codmoe::core
