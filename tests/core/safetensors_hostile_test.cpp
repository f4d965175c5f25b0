// What reads files of strangers must refuse whatever isn't whole, with one line and without harm.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>

#include "codmoe/core/files.h"
#include "safetensors_fixture.h"

namespace codmoe::core {
namespace {

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  save_safetensors(path_, {{"a", at::ones({3})}, {"b", at::ones({2}, at::kByte)}}, {{"k", "v"}});
  const auto whole = read_file(path_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    EXPECT_NE(refusal(), accepted) << size << " bytes";
  }
  write(whole + "x");
  EXPECT_NE(refusal().find("belong to no tensor"), std::string::npos);
}

/// The file with one to four faults of the kinds that disks, networks and people make.
std::string mutate(std::string bytes, std::mt19937_64& random) {
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  for (auto faults = 1 + below(4); faults > 0 && !bytes.empty(); --faults) {
    const auto at = below(bytes.size());
    const auto length = 1 + below(std::min<std::size_t>(bytes.size() - at, 16));
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default:  // a number or a bracket elsewhere in the header
        bytes[at] = "0123456789-[]{}\",:eE."[below(21)];
    }
  }
  return bytes;
}

TEST_F(SafetensorsTest, AThousandfoldMutatedFileIsReadWholeOrRefused) {
  constexpr int files = 4000;
  save_safetensors(path_, {{"ab", at::ones({3, 2})}, {"c", bools({true})}, {"d", at::ones({0, 4})}}, {{"k", "v"}});
  const auto whole = read_file(path_);
  std::mt19937_64 random(20);
  int refused = 0;
  for (int i = 0; i < files; ++i) {
    const auto bytes = mutate(whole, random);
    write(bytes);
    try {
      uint64_t length = 0;
      std::size_t read = sizeof(length);
      for (const auto& [name, tensor] : load_safetensors(path_).tensors) read += tensor.nbytes();
      std::memcpy(&length, bytes.data(), sizeof(length));
      EXPECT_EQ(read + length, bytes.size()) << "file " << i;
    } catch (const Error& error) {  // what isn't an Error ends the test
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, files / 2);  // the others are faults in values, names and the metadata
  EXPECT_LT(refused, files);
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
        Refused{"NoHeader", "", 0, "not a JSON object"}, Refused{"NotANumber", "{\"a\":NaN}", 0, "not JSON"},
        Refused{"Infinite", R"({"a":{"dtype":"U8","shape":[Infinity],"data_offsets":[0,1]}})", 1, "not JSON"},
        Refused{"SpaceBefore", " {}", 0, "not a JSON object"}, Refused{"TextBehind", "{}x", 0, "not JSON"},
        Refused{"ByteOrderMark", "\xef\xbb\xbf{}", 0, "not a JSON object"}, Refused{"Comment", "{}//", 0, "not JSON"},
        Refused{"Null", "null", 0, "not a JSON object"},
        Refused{"NestedEntry", R"({"a":{"dtype":{},"shape":[1],"data_offsets":[0,4]}})", 4, "is not supported"},
        Refused{"NestedShape", R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "nested too deeply"},
        Refused{"ObjectAsShape", R"({"a":{"dtype":"U8","shape":{},"data_offsets":[0,1]}})", 1,
                "\"shape\" is not a list"},
        Refused{"TextInShape", R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "\"shape\" must hold"},
        Refused{"BoolInShape", R"({"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}})", 1, "\"shape\" must hold"},
        Refused{"NullInShape", R"({"a":{"dtype":"U8","shape":[null],"data_offsets":[0,1]}})", 1, "\"shape\" must hold"},
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
        Refused{"ThreeOffsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1, "two numbers"},
        Refused{"FractionalOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.5]}})", 1,
                "\"data_offsets\" must hold"},
        Refused{"HugeOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551616]}})", 1,
                "\"data_offsets\" must hold"},
        Refused{"OffsetsNotList", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":"01"}})", 1, "two numbers"},
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
        Refused{"DuplicateInDisguise",
                R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                R"("\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                0, "the key \"a\" occurs twice"},
        Refused{"EmptyInsideAnother",
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                R"("b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
                2, "tensor \"b\": it starts at byte 1 of the tensors, inside another tensor"},
        Refused{"EmptyPastTheEnd", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})", 0, "reach past"},
        Refused{"EmptyWithBytes", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,1]}})", 1, "don't match"},
        Refused{"ScalarWithoutBytes", R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,0]}})", 0, "don't match"},
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

TEST_F(SafetensorsTest, RefusesAHeaderThatWouldTakeGigabytesToParse) {
  constexpr std::size_t allowed = 10'000'000;
  write_header("{}" + std::string(allowed - 2, ' '), 0);
  EXPECT_TRUE(load_safetensors(path_).tensors.empty());
  write_header("{}" + std::string(allowed - 1, ' '), 0);
  EXPECT_NE(refusal().find("its header has 10000001 bytes; 10000000 are allowed"), std::string::npos);
  EXPECT_THROW(save_safetensors(path_, {{std::string(allowed, 'a'), at::ones({1})}}), Error);
}

TEST_F(SafetensorsTest, ManyTensorsTakeNoLongerThanTheirNumber) {
  const auto seconds = [&](int count) {
    std::string json = "{";
    for (int i = 0; i < count; ++i)
      json += fmt::format(R"("t{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},)", i);
    json.back() = '}';
    write_header(json, 0);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(load_safetensors(path_).tensors.size(), static_cast<std::size_t>(count));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_LT(seconds(20000), 100 * seconds(1000) + 0.5);  // 20 times as long; squared it would be 400 times
}

TEST_F(SafetensorsTest, RefusesAnEmptyFile) {
  write("");
  EXPECT_NE(refusal().find("it has 0 bytes"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesAClaimOfMoreMemoryThanThereIs) {
  write_header(R"({"a":{"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,4611686018427387904]}})", 0);
  std::error_code error;  // most file systems don't let even a file of holes grow so large
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) + (uint64_t{1} << 62), error);
  EXPECT_NE(refusal().find(error ? "reach past" : "no memory for its 4611686018427387904 bytes"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesMoreDimensionsThanATensorHas) {
  std::string shape = "1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  write_header(R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})", 1);
  EXPECT_NE(refusal().find("at most 64 numbers"), std::string::npos);
}

TEST_F(SafetensorsTest, ReadsWhatIsOddButAllowed) {
  write_header(R"({"__metadata__":{},"b":{"dtype":"F32","shape":[3,0],"data_offsets":[1,1]},)"
               R"("":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1],"extra":null}}  )",
               1);
  const auto tensors = load_safetensors(path_).tensors;
  EXPECT_EQ(tensors.at("b").sizes(), (std::vector<int64_t>{3, 0}));
  EXPECT_EQ(tensors.at("").sizes(), (std::vector<int64_t>{1, 1}));
}

TEST_F(SafetensorsTest, TellsEveryFormatOfTorchSave) {
  std::string tar = "storages";
  tar.resize(512);
  tar.replace(257, 5, "ustar");
  for (const auto& bytes : {std::string("PK\x03\x04\0\0\x08\x08\0\0archive", 17),
                            std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20", 10),
                            std::string("\x80\x04\x95\x0e\0\0\0\0\0\0\0\x8a\x0a", 13), tar}) {
    write(bytes);
    EXPECT_NE(refusal().find("written by torch.save"), std::string::npos) << refusal();
  }
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
