// Name indexes: by themselves, and that a directory stack is the same with them and without.
#include "fs/name_index.h"

#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "fs/dir_stack_lower.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

std::vector<size_t> PartsOf(const NameIndex& index, std::string_view name) {
  std::vector<size_t> parts;
  for (auto place = index.Find(name); place; place = index.Below(*place)) {
    parts.push_back(place->part);
  }
  return parts;
}

std::vector<std::string> NamesOf(const NameIndex& index) {
  std::vector<std::string> names;
  index.ForEach([&](std::string_view name, const NameIndex::Place&) {
    names.emplace_back(name);
    return true;
  });
  return names;
}

TEST(NameIndex, MergesDirectoriesUntilSomethingHidesThem) {
  NameIndex::Builder builder;
  builder.NextPart();
  for (const char* name : {"all", "file", "whiteout", "aufs", "own"}) builder.Add(name, 1, DT_DIR);
  builder.HideBelow("own");
  builder.NextPart();
  builder.Add("all", 2, DT_DIR);
  builder.Add("file", 2, DT_REG);
  builder.AddWhiteout("whiteout");
  builder.HideBelow("aufs");
  builder.Add("own", 2, DT_DIR);
  builder.NextPart();
  for (const char* name : {"all", "file", "whiteout", "aufs", "own"}) builder.Add(name, 3, DT_DIR);
  auto index = builder.Build();
  EXPECT_EQ(PartsOf(*index, "all"), (std::vector<size_t>{0, 1, 2}));
  for (const char* name : {"file", "whiteout", "aufs", "own"}) {
    EXPECT_EQ(PartsOf(*index, name), std::vector<size_t>{0}) << name;
  }
}

TEST(NameIndex, ShowsWhatNoWhiteoutAboveHides) {
  NameIndex::Builder builder;
  builder.NextPart();
  builder.AddWhiteout("gone");
  builder.HideBelow("aufs");
  builder.HideBelow("both");
  builder.Add("both", 7, DT_LNK);
  builder.NextPart();
  for (const char* name : {"gone", "aufs", "both", "below"}) builder.Add(name, 8, DT_REG);
  auto index = builder.Build();
  EXPECT_EQ(NamesOf(*index), (std::vector<std::string>{"both", "below"}));
  EXPECT_FALSE(index->Find("gone"));
  EXPECT_FALSE(index->Find("aufs"));
  EXPECT_FALSE(index->Find("never"));
  ASSERT_TRUE(index->Find("both"));
  EXPECT_EQ(index->Find("both")->ino, 7u);
  EXPECT_EQ(index->Find("both")->type, DT_LNK);
  EXPECT_EQ(index->Find("below")->part, 1u);
}

TEST(NameIndex, FindsEachOfManyNamesAndNoOther) {
  constexpr int kNames = 20000;
  NameIndex::Builder builder;
  builder.NextPart();
  for (int i = 0; i < kNames; ++i) builder.Add("name" + std::to_string(i), 10u + i, DT_REG);
  auto index = builder.Build();
  for (int i = 0; i < kNames; ++i) {
    auto place = index->Find("name" + std::to_string(i));
    ASSERT_TRUE(place) << i;
    EXPECT_EQ(place->ino, 10u + i);
    EXPECT_FALSE(index->Find("nam" + std::to_string(i)));
  }
  EXPECT_FALSE(NameIndex::Builder().Build()->Find("x")) << "an empty one";
}

std::shared_ptr<const NameIndex> IndexOf(int names) {
  NameIndex::Builder builder;
  builder.NextPart();
  for (int i = 0; i < names; ++i) builder.Add(std::to_string(i), 1, DT_REG);
  return builder.Build();
}

TEST(NameIndexCache, KeepsWhatIsUsedAndNoMoreThanItsCapacity) {
  NameIndexCache cache(1000);
  cache.Put(1, IndexOf(100));
  for (uint64_t key = 2; key < 200; ++key) {
    cache.Put(key, IndexOf(50));
    ASSERT_TRUE(cache.Get(1)) << "used all the time, gone after " << key;
    ASSERT_LE(cache.size(), 1000u);
  }
  EXPECT_FALSE(cache.Get(2));
  cache.Put(200, IndexOf(600));
  EXPECT_FALSE(cache.Get(200)) << "too large";
  for (uint64_t key = 1; key < 200; ++key) cache.Erase(key);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(NameIndexCache, StaysInItsBoundsWithManyThreads) {
  NameIndexCache cache(500);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&cache, thread] {
      for (uint64_t i = 0; i < 3000; ++i) {
        uint64_t key = i * 4 + thread;
        cache.Put(key, IndexOf(static_cast<int>(i % 20)));
        cache.Put(key ^ 1, IndexOf(static_cast<int>(i % 20)));
        (void)cache.Get(key ^ 2);
        if (i % 3 == 0) cache.Erase(key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.size(), 500u);
  for (uint64_t key = 0; key < 12000; ++key) cache.Erase(key);
  EXPECT_EQ(cache.size(), 0u);
}

// Layers with a few names each, so that they meet in every way.
class RandomStack {
 public:
  explicit RandomStack(unsigned seed) : random_(seed) {
    size_t layers = 2 + Below(5);
    for (size_t i = 0; i < layers; ++i) {
      layers_.push_back(scratch_ / std::to_string(i));
      MakeDirs(layers_.back());
      Fill(layers_.back(), 0);
    }
  }
  const std::vector<std::string>& layers() const { return layers_; }
  static const std::vector<std::string>& Names() {
    static const std::vector<std::string> names = {"a", "b", "c", "d", "e", "missing"};
    return names;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }
  void Mark(const std::string& path, const std::string& name, const std::string& value) {
    const char* prefixes[] = {"trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."};
    ASSERT_EQ(
        lsetxattr(path.c_str(), (prefixes[Below(3)] + name).c_str(), value.data(), value.size(), 0),
        0)
        << path << " " << name;
  }
  void Fill(const std::string& dir, int depth) {
    if (Below(6) == 0) Mark(dir, "opaque", Below(2) == 0 ? "y" : "x");
    if (Below(12) == 0) WriteFile(dir + "/.wh..wh..opq", "");
    for (size_t i = 0; i + 1 < Names().size(); ++i) {
      const std::string& name = Names()[i];
      if (Below(7) == 0) WriteFile(dir + "/.wh." + name, "");
      MakeEntry(dir + "/" + name, depth);
    }
  }
  void MakeEntry(const std::string& path, int depth) {
    switch (Below(9)) {
      case 0:
        WriteFile(path, "content of " + path);
        break;
      case 1:
        ASSERT_EQ(mknod(path.c_str(), S_IFCHR, Below(3) == 0 ? makedev(1, 3) : 0), 0);
        break;
      case 2:
        WriteFile(path, "");
        if (Below(2) == 0) Mark(path, "whiteout", "y");
        break;
      case 3:
        ASSERT_EQ(symlink("target", path.c_str()), 0);
        break;
      case 4:
      case 5:
      case 6:
        if (depth > 2) break;
        MakeDirs(path);
        Fill(path, depth + 1);
        if (Below(6) == 0) Mark(path, "redirect", RedirectTarget());
        break;
      default:
        break;
    }
  }
  std::string RedirectTarget() {
    std::string sibling = Names()[Below(Names().size())];
    if (Below(2) == 0) return sibling;
    return "/" + Names()[Below(Names().size())] + (Below(2) == 0 ? "" : "/" + sibling);
  }

  std::mt19937 random_;
  Scratch scratch_;
  std::vector<std::string> layers_;
};

using Description = std::map<std::string, std::string>;

std::string Describe(DirStackLower& lower, const LowerRef& ref,
                     const std::optional<struct stat>& attr) {
  if (!ref) return "none";
  auto st = lower.Attr(ref);
  if (!st || !attr) return "no attributes";
  EXPECT_EQ(memcmp(&*attr, &*st, sizeof *st), 0) << "from Lookup, and from Attr";
  return std::to_string(ref.ino) + " mode " + std::to_string(st->st_mode) + " links " +
         std::to_string(st->st_nlink);
}

std::string Listing(DirStackLower& lower, const LowerRef& dir) {
  std::string listing;
  auto listed = lower.ForEach(dir, [&](std::string_view name, uint64_t ino, uint8_t type) {
    listing += std::string(name) + " " + std::to_string(ino) + " " + std::to_string(type) + "\n";
    return true;
  });
  EXPECT_TRUE(listed);
  return listing;
}

enum class Order { kLookUpFirst, kListFirst };

// What Lookup says of each name below `dir`, and the listings.
void Describe(DirStackLower& lower, const LowerRef& dir, const std::string& path, Order order,
              Description& out) {
  if (order == Order::kListFirst) out[path + "/"] = Listing(lower, dir);
  for (const std::string& name : RandomStack::Names()) {
    std::string child = path + "/" + name;
    std::optional<struct stat> attr;
    auto found = lower.LookupWithAttr(dir, name, attr);
    ASSERT_TRUE(found) << child;
    out[child] = Describe(lower, *found, attr);
    // Redirects may lead up again.
    if (found->IsDir() && std::ranges::count(child, '/') < 5) {
      Describe(lower, *found, child, order, out);
    }
  }
  if (order == Order::kLookUpFirst) out[path + "/"] = Listing(lower, dir);
}

class StackWithIndex : public ::testing::TestWithParam<unsigned> {};

TEST_P(StackWithIndex, IsTheSameAsWithout) {
  RandomStack stack(GetParam());
  Description expected;
  {
    FdCache cache(1000);
    auto lower = DirStackLower::Open(stack.layers(), &cache, /*indexed_names=*/0);
    ASSERT_TRUE(lower);
    Describe(**lower, *(*lower)->Root(), "", Order::kLookUpFirst, expected);
  }
  for (size_t room : {DirStackLower::kIndexedNames, size_t{100}}) {  // 100: they come and go
    FdCache cache(1000);
    auto lower = DirStackLower::Open(stack.layers(), &cache, room);
    ASSERT_TRUE(lower);
    for (Order order : {Order::kListFirst, Order::kLookUpFirst}) {
      Description got;
      Describe(**lower, *(*lower)->Root(), "", order, got);
      EXPECT_EQ(got, expected);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, StackWithIndex, ::testing::Range(0u, 40u));

// An index that nobody listed for: lookups alone make it, and then cost the layers nothing.
TEST(StackWithIndex, ComesWithManyLookups) {
  Scratch scratch;
  std::vector<std::string> layers;
  for (int i = 0; i < 10; ++i) {
    layers.push_back(scratch / std::to_string(i));
    MakeDirs(layers.back());
    WriteFile(layers.back() + "/file" + std::to_string(i), "");
  }
  FdCache cache(1000);
  auto lower = DirStackLower::Open(layers, &cache);
  ASSERT_TRUE(lower);
  LowerRef root = *(*lower)->Root();
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(*(*lower)->Lookup(root, "missing" + std::to_string(i)));
  }
  // Lowers do not change; if one does, who asks the layers is who sees it.
  WriteFile(layers[5] + "/late", "");
  EXPECT_FALSE(*(*lower)->Lookup(root, "late"));
  EXPECT_TRUE(*(*lower)->Lookup(root, "file9"));
}

}  // namespace
}  // namespace veneer::fs::testing
