// Whether a JPEG stream is whole.
#pragma once

#include <string_view>

namespace codmoe::data {

/// True unless `bytes` begins like a JPEG and stops before its end-of-image marker (ITU-T T.81, annex B). libjpeg fills
/// what is missing with grey and reports success, so a truncated photograph would go unnoticed.
bool jpeg_is_whole(std::string_view bytes);

}  // namespace codmoe::data
