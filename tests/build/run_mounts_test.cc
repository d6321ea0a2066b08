#include "tools/build/run_mounts.h"

#include <gtest/gtest.h>

#include <set>

namespace veneer::build {
namespace {

TEST(RunMounts, NamespacesKeepCachesApart) {
  EXPECT_EQ(CacheIdOf("", "/root/.cache"), "/root/.cache") << "caches that are there stay";
  const std::set<std::string> ids = {
      CacheIdOf("", "a"),    CacheIdOf("x", "a"),   CacheIdOf("y", "a"),  CacheIdOf("x", "b"),
      CacheIdOf("x/a", "a"), CacheIdOf("x", "a/a"), CacheIdOf("", "x/a"), CacheIdOf("x:a", "a"),
  };
  EXPECT_EQ(ids.size(), 8U);
}

}  // namespace
}  // namespace veneer::build
