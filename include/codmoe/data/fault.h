// The kinds of faults that the doctor knows.
#pragma once

#include "codmoe/core/options.h"

namespace codmoe::data {

/// Kinds of findings; their names are those of `codmoe-data check`.
enum class Fault {
  unpaired,
  duplicate_name,
  case_clash,
  broken_link,
  empty_file,
  truncated,
  not_an_image,
  unreadable,
  wrong_extension,
  foreign_file,
  size_mismatch,
  exif_rotation,
  tiny_image,
  extreme_aspect,
  grey_photograph,
  blank_photograph,
  cmyk_photograph,
  alpha_channel,
  sixteen_bit,
  palette_mask,
  rgb_mask,
  coloured_mask,
  lossy_mask,
  empty_mask,
  full_mask,
  dark_mask,
  grey_mask,
  inverted_mask,
  duplicate_mask,
  exact_duplicate,
  near_duplicate,
  list_missing,
  list_repeat,
  list_overlap
};

constexpr auto enum_names(Fault) {
  return core::names<Fault>({{"unpaired", Fault::unpaired},
                             {"duplicate-name", Fault::duplicate_name},
                             {"case-clash", Fault::case_clash},
                             {"broken-link", Fault::broken_link},
                             {"empty-file", Fault::empty_file},
                             {"truncated", Fault::truncated},
                             {"not-an-image", Fault::not_an_image},
                             {"unreadable", Fault::unreadable},
                             {"wrong-extension", Fault::wrong_extension},
                             {"foreign-file", Fault::foreign_file},
                             {"size-mismatch", Fault::size_mismatch},
                             {"exif-rotation", Fault::exif_rotation},
                             {"tiny-image", Fault::tiny_image},
                             {"extreme-aspect", Fault::extreme_aspect},
                             {"grey-photograph", Fault::grey_photograph},
                             {"blank-photograph", Fault::blank_photograph},
                             {"cmyk-photograph", Fault::cmyk_photograph},
                             {"alpha-channel", Fault::alpha_channel},
                             {"sixteen-bit", Fault::sixteen_bit},
                             {"palette-mask", Fault::palette_mask},
                             {"rgb-mask", Fault::rgb_mask},
                             {"coloured-mask", Fault::coloured_mask},
                             {"lossy-mask", Fault::lossy_mask},
                             {"empty-mask", Fault::empty_mask},
                             {"full-mask", Fault::full_mask},
                             {"dark-mask", Fault::dark_mask},
                             {"grey-mask", Fault::grey_mask},
                             {"inverted-mask", Fault::inverted_mask},
                             {"duplicate-mask", Fault::duplicate_mask},
                             {"exact-duplicate", Fault::exact_duplicate},
                             {"near-duplicate", Fault::near_duplicate},
                             {"list-missing", Fault::list_missing},
                             {"list-repeat", Fault::list_repeat},
                             {"list-overlap", Fault::list_overlap}});
}

}  // namespace codmoe::data
