#include "codmoe/core/safetensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "mapped_file.h"
#include "safetensors_header.h"

namespace codmoe::core {

namespace {

static_assert(std::endian::native == std::endian::little, "safetensors bytes are copied as they are");

/// A file being read, whose size is known.
class Source {
 public:
  explicit Source(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    // Anything else (a pipe, a device) could block for ever, or has no size to check the header against.
    if (!std::filesystem::is_regular_file(path, error)) {
      fail(std::filesystem::exists(path, error) ? "not a file" : "no such file");
    }
    left_ = std::filesystem::file_size(path, error);
    stream_.open(path, std::ios::binary);
    if (error || !stream_) fail("cannot be read");
  }

  uint64_t left() const { return left_; }

  void read(void* target, uint64_t bytes) {
    if (bytes > left_ || !stream_.read(static_cast<char*>(target), static_cast<std::streamsize>(bytes))) {
      fail("the file ends too early");
    }
    left_ -= bytes;
  }

  /// The first bytes, where the reading began anew: at most `most`.
  std::string prefix(std::size_t most) {
    std::string bytes(most, '\0');
    stream_.read(bytes.data(), static_cast<std::streamsize>(most));
    bytes.resize(static_cast<std::size_t>(stream_.gcount()));
    stream_.clear();
    stream_.seekg(0);
    return bytes;
  }

  [[noreturn]] void fail(const std::string& what) const { throw Error(fmt::format("{}: {}", path_.string(), what)); }

 private:
  std::filesystem::path path_;
  std::ifstream stream_;
  uint64_t left_ = 0;
};

/// Every format torch.save ever had: a zip file; before version 1.6 a pickled magic number; before 0.1.10 a tar file.
/// None of them can be mistaken for safetensors, whose ninth byte is the header's '{'.
bool is_torch_save(std::string_view first_bytes) {
  const bool zip = first_bytes.starts_with("PK\x03\x04");
  const auto opcode = first_bytes.size() > 2 ? first_bytes[2] : '\0';  // of a long integer, or of protocol 4's frame
  const bool pickle = first_bytes.starts_with('\x80') && (opcode == '\x8a' || opcode == '\x95');
  const bool tar = first_bytes.size() >= 262 && first_bytes.substr(257, 5) == "ustar";
  return (zip || pickle || tar) && first_bytes.size() > 8 && first_bytes[8] != '{';
}

std::string read_header_text(Source& source) {
  constexpr auto wrong = "not a valid safetensors file: ";
  if (is_torch_save(source.prefix(262))) {
    source.fail("written by torch.save, not safetensors; convert it with apps/convert/codmoe_convert.py INPUT OUTPUT");
  }
  uint64_t length = 0;
  if (source.left() < sizeof(length)) source.fail(fmt::format("{}it has {} bytes", wrong, source.left()));
  source.read(&length, sizeof(length));
  if (length > source.left()) {
    source.fail(fmt::format("{}its header claims {} bytes; {} follow", wrong, length, source.left()));
  }
  if (length > max_header_bytes) {
    source.fail(fmt::format("{}its header has {} bytes; {} are allowed", wrong, length, max_header_bytes));
  }
  std::string text(length, '\0');
  source.read(text.data(), length);
  return text;
}

at::Tensor make_tensor(const Source& source, const TensorEntry& entry) {
  try {
    return at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype));
  } catch (const c10::Error&) {  // a sparse file may claim more than the machine has
    source.fail(fmt::format("tensor {}: no memory for its {} bytes", printable(entry.name), entry.end - entry.begin));
  }
}

/// What other programs wrote may lie between the addresses that its type needs: then it is copied.
at::Tensor view_of(const std::shared_ptr<const MappedFile>& file, char* bytes, const TensorEntry& entry) {
  const auto options = at::TensorOptions().dtype(entry.dtype);
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes) % c10::elementSize(entry.dtype) == 0;
  if (aligned)
    return at::from_blob(
        bytes, entry.shape, [file](void*) {}, options);
  auto copy = at::empty(entry.shape, options);
  std::memcpy(copy.mutable_data_ptr(), bytes, copy.nbytes());
  return copy;
}

/// A bool with any bits but 0 or 1 is undefined behaviour wherever it is read.
void check_bools(const Source& source, const TensorEntry& entry, const at::Tensor& tensor) {
  const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
  if (std::any_of(bytes, bytes + tensor.numel(), [](uint8_t byte) { return byte > 1; })) {
    source.fail(fmt::format("tensor {}: BOOL holds bytes other than 0 and 1", printable(entry.name)));
  }
}

TensorEntry describe(const std::filesystem::path& path, const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided) {
    throw Error(fmt::format("{}: tensor {}: only defined, dense tensors can be saved", path.string(), printable(name)));
  }
  return {.name = name, .dtype = tensor.scalar_type(), .shape = tensor.sizes().vec()};
}

}  // namespace

SafetensorsFile load_safetensors(const std::filesystem::path& path) {
  Source source(path);
  const auto text = read_header_text(source);
  auto header = parse_safetensors_header(path, text, source.left());
  SafetensorsFile file{.tensors = {}, .metadata = std::move(header.metadata)};
  for (const auto& entry : header.entries) {
    auto tensor = make_tensor(source, entry);
    if (tensor.numel() > 0) source.read(tensor.mutable_data_ptr(), tensor.nbytes());
    if (entry.dtype == at::kBool) check_bools(source, entry, tensor);
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  return file;
}

SafetensorsFile map_safetensors(const std::filesystem::path& path) {
  Source source(path);
  const auto text = read_header_text(source);
  auto header = parse_safetensors_header(path, text, source.left());
  const auto mapped = std::make_shared<const MappedFile>(path);
  if (mapped->size() < source.left()) source.fail("the file ends too early");
  auto* data = mapped->data() + (mapped->size() - source.left());
  SafetensorsFile file{.tensors = {}, .metadata = std::move(header.metadata)};
  for (const auto& entry : header.entries) {
    auto tensor = view_of(mapped, data + entry.begin, entry);
    if (entry.dtype == at::kBool) check_bools(source, entry, tensor);
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  return file;
}

void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header{.entries = {}, .metadata = metadata};
  for (const auto& [name, tensor] : tensors) header.entries.push_back(describe(path, name, tensor));
  lay_out(header.entries);
  const auto text = format_safetensors_header(path, header);
  const uint64_t length = text.size();
  std::vector<at::Tensor> contiguous;
  std::vector<std::string_view> pieces{{reinterpret_cast<const char*>(&length), sizeof(length)}, text};
  for (const auto& entry : header.entries) {
    const auto& tensor = contiguous.emplace_back(tensors.at(entry.name).detach().cpu().contiguous());
    pieces.emplace_back(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  write_file_atomically(path, pieces);
}

}  // namespace codmoe::core
