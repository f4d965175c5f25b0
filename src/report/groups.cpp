#include "codmoe/report/groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "codmoe/report/object_size.h"

namespace codmoe::report {
namespace {

std::vector<std::string_view> size_names() {
  std::vector<std::string_view> names;
  for (const ObjectSize size : object_sizes) names.push_back(name_of(size));
  return names;
}

std::size_t size_group(const ImageResult& image) { return static_cast<std::size_t>(object_size(image)); }

std::size_t count_group(const ImageResult& image) {
  return static_cast<std::size_t>(std::min<int64_t>(image.objects.count, 3));
}

std::size_t location_group(const ImageResult& image) {
  if (image.objects.count == 0) return 0;
  if (image.objects.touches_border) return 3;
  const auto is_middle = [](double place) { return 3 * place >= 1 && 3 * place <= 2; };
  return is_middle(image.objects.centre_x) && is_middle(image.objects.centre_y) ? 1 : 2;
}

}  // namespace

const std::vector<Grouping>& groupings() {
  static const std::vector<Grouping> list{
      {"size", size_names(), size_group, object_size_convention()},
      {"objects",
       {"no object", "one", "two", "three or more"},
       count_group,
       fmt::format("8-connected regions of the mask with at least {} % of its pixels", 100 * least_object)},
      {"location",
       {"no object", "centre", "off centre", "border"},
       location_group,
       "border: an object has a pixel in the first or last row or column of the image; of the others centre: the "
       "objects' centre of mass lies in the middle third of both axes"},
  };
  return list;
}

std::vector<GroupScores> scores_by_group(const DatasetResult& dataset) {
  std::vector<GroupScores> scores;
  for (const Grouping& grouping : groupings()) {
    std::vector<metrics::ScoreAccumulator> groups(grouping.groups.size());
    for (const ImageResult& image : dataset.images()) groups[grouping.group_of(image)].add(image.scores);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (groups[i].size() > 0) scores.push_back({grouping.name, grouping.groups[i], groups[i].summary()});
    }
  }
  return scores;
}

}  // namespace codmoe::report
