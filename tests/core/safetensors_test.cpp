#include "codmoe/core/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "support/temporary_folder.h"

namespace codmoe::core {
namespace {

using Metadata = std::map<std::string, std::string>;

/// One file a test, removed with the test.
class SafetensorsTest : public testing::Test {
 protected:
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  /// A file with this header and `data_bytes` zero bytes behind it.
  void write_header(const std::string& json, std::size_t data_bytes) const {
    const uint64_t length = json.size();
    std::string bytes(sizeof(length), '\0');
    std::memcpy(bytes.data(), &length, sizeof(length));
    write(bytes + json + std::string(data_bytes, '\0'));
  }

  /// The message of the refusal: one line that begins with the path.
  std::string refusal() const {
    try {
      load_safetensors(path_);
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find(path_.string()), 0) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
    return "it was accepted";
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "a.safetensors";
};

at::Tensor bools(std::initializer_list<int> values) { return at::tensor(values).to(at::kBool); }

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

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  save_safetensors(path_, {{"a", at::ones({3})}, {"b", at::ones({2}, at::kByte)}}, {{"k", "v"}});
  const auto whole = read_file(path_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    EXPECT_NE(refusal(), "it was accepted") << size << " bytes";
  }
  write(whole + "x");
  EXPECT_NE(refusal().find("belong to no tensor"), std::string::npos);
}

TEST_F(SafetensorsTest, AnyDamagedByteIsReadOrRefusedButNeverCrashes) {
  save_safetensors(path_, {{"ab", at::ones({3, 2})}, {"c", bools({true})}}, {{"k", "v"}});
  const auto whole = read_file(path_);
  const auto header_end = whole.size() - 25;
  int refused = 0;
  for (std::size_t i = 0; i < header_end; ++i) {
    for (const char damage : {'\0', '"', '9', '}', '[', '\xff'}) {
      auto bytes = whole;
      bytes[i] = damage;
      write(bytes);
      refused += refusal() == "it was accepted" ? 0 : 1;
    }
  }
  EXPECT_GT(refused, static_cast<int>(header_end) * 3);
}

struct Refused {
  const char* what;
  const char* header;
  std::size_t data_bytes;
  const char* message;
};

// gtest prints parameters in test names and logs.
void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.what; }

class SafetensorsHeaderTest : public SafetensorsTest, public testing::WithParamInterface<Refused> {};

TEST_P(SafetensorsHeaderTest, IsRefusedWithItsReason) {
  write_header(GetParam().header, GetParam().data_bytes);
  EXPECT_NE(refusal().find(GetParam().message), std::string::npos) << refusal();
}

INSTANTIATE_TEST_SUITE_P(
    Bad, SafetensorsHeaderTest,
    testing::Values(
        Refused{"NotJson", "{\"a\":", 0, "not JSON"}, Refused{"NotAnObject", "[1]", 0, "not a JSON object"},
        Refused{"NotUtf8", "{\"\xff\":1}", 0, "not JSON"}, Refused{"HugeNumber", "{\"a\":1e999}", 0, "not JSON"},
        Refused{"DeepNesting", "{\"a\":[[[[[[1]]]]]]}", 0, "nested too deeply"},
        Refused{"EntryNotAnObject", R"({"a":7})", 0, "tensor \"a\": its entry is not a JSON object"},
        Refused{"NoDtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "\"dtype\" is missing"},
        Refused{"NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "\"shape\" is missing"},
        Refused{"NoOffsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, "\"data_offsets\" is missing"},
        Refused{"UnknownDtype", R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1,
                "dtype \"F8_E4M3\" is not supported"},
        Refused{"DtypeNotText", R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,1]}})", 1, "is not supported"},
        Refused{"ShapeNotList", R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "\"shape\" is not a list"},
        Refused{"NegativeShape", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "\"shape\" must hold"},
        Refused{"FractionalShape", R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "\"shape\" must"},
        Refused{"HugeExtent", R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1,
                "\"shape\" must hold"},
        Refused{"ProductOverflows", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "don't match its shape"},
        Refused{"EmptyButOverflowing",
                R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "don't match its shape"},
        Refused{"WrongProduct", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "don't match"},
        Refused{"OneOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "a list of two numbers"},
        Refused{"NegativeOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1,
                "\"data_offsets\" must hold"},
        Refused{"Backwards", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "run backwards"},
        Refused{"PastTheEnd", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1, "reach past"},
        Refused{"FarPastTheEnd",
                R"({"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}})", 1,
                "reach past"},
        Refused{"Overlap",
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                3, "tensor \"b\": it starts at byte 1 of the tensors, inside another tensor"},
        Refused{"Shared",
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                2, "inside another tensor"},
        Refused{"Hole", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3, "belong to no tensor"},
        Refused{"Leftover", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 3, "1 bytes after the last"},
        Refused{"DuplicateTensor",
                R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                0, "the key \"a\" occurs twice"},
        Refused{"DuplicateField", R"({"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})", 0,
                "the key \"dtype\" occurs twice"},
        Refused{"MetadataNotText", R"({"__metadata__":{"n":1}})", 0, "the metadata \"n\" is not a text"},
        Refused{"MetadataNotObject", R"({"__metadata__":"x"})", 0, "\"__metadata__\" is not"},
        Refused{"NewlineInName", "{\"a\\nb\":7}", 0, "tensor \"a\\nb\""}),
    [](const auto& tested) { return std::string(tested.param.what); });

TEST_F(SafetensorsTest, RefusesAHeaderLengthThatTheFileCannotHold) {
  write(std::string(8, '\xff') + "{}");
  EXPECT_NE(refusal().find("its header claims 18446744073709551615 bytes; 2 follow"), std::string::npos);
  write(std::string("\x03\0\0\0\0\0\0\0", 8) + "{}");
  EXPECT_NE(refusal().find("claims 3 bytes; 2 follow"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesMoreDimensionsThanATensorHas) {
  std::string shape = "1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  write_header(R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})", 1);
  EXPECT_NE(refusal().find("at most 64 numbers"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesABoolThatIsNeitherTrueNorFalse) {
  write_header(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1);
  EXPECT_FALSE(load_safetensors(path_).tensors.at("a").item<bool>());
  auto bytes = read_file(path_);
  bytes.back() = '\x02';
  write(bytes);
  EXPECT_NE(refusal().find("BOOL holds bytes other than 0 and 1"), std::string::npos);
}

}  // namespace
}  // namespace codmoe::core
