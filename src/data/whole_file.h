// Whether an image file is all there.
#pragma once

#include <string_view>

namespace codmoe::data {

/// False where `bytes` begin like a JPEG (ITU-T T.81, annex B) or a PNG (ISO/IEC 15948) and stop before its end.
/// libjpeg fills what is missing with grey and reports success, so a truncated photograph would go unnoticed; libpng
/// writes to standard error. Other formats are left to their decoders.
bool is_whole(std::string_view bytes);

}  // namespace codmoe::data
