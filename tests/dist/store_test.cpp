// The ranks meet at a store, or learn why they don't.
#include "codmoe/dist/store.h"

#include <gtest/gtest.h>

#include <future>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "codmoe/core/error.h"
#include "dist/rank_process.h"

namespace codmoe::dist {
namespace {

using std::chrono::seconds;

Place place_of(int64_t rank, int64_t ranks, uint16_t port) {
  return {.rank = rank,
          .ranks = ranks,
          .local_rank = rank,
          .local_ranks = ranks,
          .master_host = "127.0.0.1",
          .master_port = port};
}

std::string error_of(const Place& place, seconds timeout) {
  try {
    connect(place, timeout);
  } catch (const core::Error& error) {
    return error.what();
  }
  return "";
}

std::future<c10::intrusive_ptr<c10d::Store>> connecting(const Place& place) {
  return std::async(std::launch::async, [place] { return connect(place, seconds(20)); });
}

TEST(Store, RanksReadWhatOthersWrote) {
  const auto port = test::free_port();
  auto later = connecting(place_of(1, 2, port));
  const auto first = connect(place_of(0, 2, port), seconds(20));
  const auto second = later.get();
  second->set("key", std::string("from 1"));
  EXPECT_EQ(first->get_to_str("key"), "from 1");
}

TEST(Store, ACloneWorksWhileTheStoreIsWaitedAt) {
  const auto port = test::free_port();
  auto later = connecting(place_of(1, 2, port));
  const auto store = connect(place_of(0, 2, port), seconds(20));
  auto waiting = std::async(std::launch::async, [&] { store->wait({"late"}, seconds(20)); });
  const auto clone = store->clone();
  clone->set("late", std::string("1"));
  EXPECT_NO_THROW(waiting.get());
  later.get();
}

TEST(Store, ARestartDoesNotReadOldKeys) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  const auto agent = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  auto place = place_of(0, 2, agent->getPort());
  place.agent_store = true;
  for (place.restart = 0; place.restart < 2; ++place.restart) {
    auto other = place;
    other.rank = 1;
    auto later = connecting(other);
    const auto store = connect(place, seconds(20));
    EXPECT_FALSE(store->check({"key"}));
    store->set("key", std::string("old"));
    later.get();
  }
}

TEST(Store, NoAnswerAndRanksThatDoNotComeAreOneLine) {
  const auto nowhere = test::free_port(), port = test::free_port();
  const auto error_soon = [](const Place& place, seconds timeout) {
    return std::async(std::launch::async, [=] { return error_of(place, timeout); });
  };
  auto alone = error_soon(place_of(2, 4, nowhere), seconds(1));
  auto server = error_soon(place_of(0, 4, port), seconds(1));
  auto patient = error_soon(place_of(2, 4, port), seconds(20));
  const std::string same = "are all ranks started, with the same MASTER_ADDR and MASTER_PORT?";
  const auto at = "127.0.0.1:" + std::to_string(port);
  EXPECT_EQ(alone.get(), "rank 2: no answer from 127.0.0.1:" + std::to_string(nowhere) + " in 1 s; " + same);
  EXPECT_EQ(server.get(), "rank 0: rank 1, 3 did not come to " + at + " in 1 s; " + same);
  EXPECT_EQ(patient.get(), "rank 2: " + at + " was gone before all ranks had come");
}

TEST(Store, ATakenPortIsOneLine) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  const auto taken = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  const auto error = error_of(place_of(0, 2, taken->getPort()), seconds(5));
  EXPECT_EQ(error.find("rank 0: port " + std::to_string(taken->getPort()) + " can not be served"), 0U) << error;
}

}  // namespace
}  // namespace codmoe::dist
