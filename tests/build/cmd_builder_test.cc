#include "tools/build/cmd_builder.h"

#include <ctime>

#include "store/build_cache.h"
#include "tests/store/store_fixture.h"
#include "tools/build/cache/cache_filter.h"

namespace veneer::build {
namespace {

using test::AddLayer;
using test::MakeTar;
using test::Must;
using ::testing::HasSubstr;

class BuilderTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    const int64_t now = std::time(nullptr);
    shared_ = Put("RUN shared", std::string(20'000, 's'), now - 10);
    old_ = Put("RUN old", std::string(400'000, 'o'), now - 100'000);
    new_ = Put("RUN new", std::string(200'000, 'n'), now - 10);
    const std::vector<DiffId> layers = Must(store().catalog().FindBuildRecord(shared_))->layers;
    const std::string config = test::MakeConfig(layers);
    Must(store().catalog().PutImage({ImageConfig::IdOf(config), config, now}, layers));
  }

  Digest Put(const std::string& description, const std::string& content, int64_t last_used) {
    const DiffId layer = Must(AddLayer(store(), MakeTar({{.path = "f", .content = content}})));
    const Digest key = Digest::Of(description);
    Must(store().catalog().PutBuildRecord({.key = key,
                                           .layers = {layer},
                                           .description = description,
                                           .created_at = last_used,
                                           .last_used_at = last_used,
                                           .uses = 1}));
    return key;
  }
  bool Has(const Digest& key) { return Must(store().catalog().FindBuildRecord(key)).has_value(); }

  // What `veneer builder WORDS` prints on both of its outputs.
  std::string Run(const std::string& words, int status = 0) {
    tools::Context context;
    context.root = root_;
    CLI::App app("", "veneer");
    AddBuilderGroup(app, context);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    int seen = 0;
    try {
      app.parse("builder " + words);
      seen = context.Finish();
    } catch (const CLI::Error& error) {
      seen = tools::kExitUsage;
    }
    const std::string out = ::testing::internal::GetCapturedStdout();
    EXPECT_EQ(seen, status) << words;
    return out + ::testing::internal::GetCapturedStderr();
  }

  Digest shared_, old_, new_;
};

TEST_F(BuilderTest, DuShowsBuildxColumns) {
  const std::string table = Run("du");
  EXPECT_THAT(table,
              HasSubstr("ID                          RECLAIMABLE   SIZE      LAST ACCESSED\n"));
  EXPECT_THAT(table, HasSubstr(old_.Hex().substr(0, 25) + "   true "));
  EXPECT_THAT(table, HasSubstr("28 hours ago\n"));
  EXPECT_THAT(table, HasSubstr("Shared:\t\t"));
  EXPECT_THAT(table, HasSubstr("Reclaimable:\t6"));
  EXPECT_EQ(Run("du --filter description~=old --format {{.FullID}}"), old_.Hex() + "\n");
  EXPECT_EQ(Run("du --filter shared --format {{.Description}}"), "RUN shared\n");
  EXPECT_EQ(Run("du --filter private --filter until=24h --format {{.Description}}"), "RUN old\n");
  EXPECT_THAT(Run("du --verbose --filter id=" + new_.Hex().substr(0, 25)),
              HasSubstr("ID:\t\t" + new_.Hex() + "\n"));
}

TEST_F(BuilderTest, PruneLeavesWhatAnImageShares) {
  const std::string table = Run("prune -f");
  EXPECT_THAT(table, HasSubstr(old_.Hex().substr(0, 25)));
  EXPECT_THAT(table, HasSubstr("\nTotal:\t6"));
  EXPECT_TRUE(Has(shared_));
  EXPECT_FALSE(Has(old_));
  EXPECT_FALSE(Has(new_));
  Run("prune -f -a");
  EXPECT_FALSE(Has(shared_));
  EXPECT_EQ(Run("prune -f -a"), "Total:\t0B\n");
}

TEST_F(BuilderTest, PruneTakesFiltersAndSizes) {
  Run("prune -f --filter until=24h");
  EXPECT_FALSE(Has(old_));
  EXPECT_TRUE(Has(new_));
  old_ = Put("RUN old", std::string(400'000, 'o'), 1'700'000'000);
  Run("prune -f --keep-storage 300kb");
  EXPECT_FALSE(Has(old_)) << "the longest unused goes first";
  EXPECT_TRUE(Has(new_));
  Run("prune -f --filter id=" + new_.Hex().substr(0, 25));
  EXPECT_FALSE(Has(new_));
}

TEST_F(BuilderTest, MistakesRemoveNothing) {
  EXPECT_THAT(Run("prune -f --filter until=yesterday", 1),
              HasSubstr("filter 'until' expects a duration (e.g., '24h')"));
  EXPECT_THAT(Run("prune -f --filter colour=red", 1), HasSubstr("invalid filter 'colour'"));
  EXPECT_THAT(Run("prune -f --filter id=a --filter id=b", 1), HasSubstr("given twice"));
  EXPECT_THAT(Run("prune -f --filter type=source.local", 1), HasSubstr("invalid filter 'type="));
  EXPECT_THAT(Run("prune -f --filter inuse", 1), HasSubstr("in use"));
  EXPECT_THAT(Run("prune -f --keep-storage much", 1), HasSubstr("invalid size: 'much'"));
  EXPECT_TRUE(Has(old_));
  EXPECT_TRUE(Has(new_));
}

TEST(CacheFilter, MatchesAllOfIt) {
  BuildCacheEntry entry{.id = "abc", .type = "exec.cachemount", .description = "cached mount x"};
  entry.last_used_at = 1000;
  const auto matches = [&](const std::vector<std::string>& filters) {
    return Must(CacheFilter::Parse(filters)).Matches(entry, 1060);
  };
  EXPECT_TRUE(matches({}));
  EXPECT_TRUE(matches({"id=ab", "type=exec.cachemount", "description~=mount", "until=1m"}));
  EXPECT_FALSE(matches({"id=b"}));
  EXPECT_FALSE(matches({"type=regular"}));
  EXPECT_FALSE(matches({"unused-for=61s"}));
  EXPECT_FALSE(matches({"inuse"}));
  EXPECT_TRUE(matches({"inuse=false", "private=true"}));
}

}  // namespace
}  // namespace veneer::build
