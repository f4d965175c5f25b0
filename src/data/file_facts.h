// What the head of an image file says, before anything is decoded.
#pragma once

#include <cstdint>
#include <string_view>

namespace codmoe::data {

enum class FileFormat { unknown, jpeg, png, bmp, webp, tiff };

struct FileFacts {
  FileFormat format = FileFormat::unknown;
  int bits = 8;      ///< a sample; of JPEG and PNG alone, as all below
  int channels = 0;  ///< 0: not known
  bool palette = false;
  bool alpha = false;   ///< a channel, or one transparent colour
  int orientation = 1;  ///< EXIF's, 1 ... 8; 1 is upright
};

/// Reads JPEG (ITU-T T.81), PNG (ISO/IEC 15948) and EXIF (CIPA DC-008) headers; of other formats the signature alone.
FileFacts facts_of(std::string_view bytes);

/// The format that a file name promises.
FileFormat format_of_extension(std::string_view extension);

}  // namespace codmoe::data
