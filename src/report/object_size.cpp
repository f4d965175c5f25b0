#include "codmoe/report/object_size.h"

#include <fmt/format.h>

namespace codmoe::report {

ObjectSize object_size(const ImageResult& image) {
  const auto pixels = static_cast<double>(image.size.height * image.size.width);
  return object_size_of(static_cast<double>(image.scores.counts.foreground) / pixels);
}

ObjectSize object_size_of(double share) {
  if (share == 0) return ObjectSize::none;
  if (share <= small_object) return ObjectSize::small;
  return share >= big_object ? ObjectSize::big : ObjectSize::medium;
}

std::string_view name_of(ObjectSize size) {
  constexpr std::array<std::string_view, 4> names{"no object", "small", "medium", "big"};
  return names.at(static_cast<std::size_t>(size));
}

std::string object_size_convention() {
  return fmt::format(
      "object area / image area, thresholds of COD10K's attributes: small at most {} %, big at least {} %, medium "
      "between",
      100 * small_object, 100 * big_object);
}

}  // namespace codmoe::report
