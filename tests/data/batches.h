// All that a source of batches has left of an epoch, and its comparison.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "codmoe/data/batch_source.h"

namespace codmoe::data {

inline std::vector<Batch> rest_of(BatchSource& source) {
  std::vector<Batch> batches;
  while (auto batch = source.next()) batches.push_back(*batch);
  return batches;
}

inline void expect_same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].names, b[i].names) << "batch " << i;
    EXPECT_TRUE(at::equal(a[i].images, b[i].images)) << "batch " << i;
    EXPECT_TRUE(at::equal(a[i].masks, b[i].masks)) << "batch " << i;
  }
}

}  // namespace codmoe::data
