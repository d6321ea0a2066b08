// A process that publishes is killed at every point where a crash could tell on the store.
#include <tuple>

#include "store/base/fault.h"
#include "tests/store/store_fixture.h"

namespace veneer {
namespace {

using test::AddImage;
using test::MakeTar;
using test::Must;
using test::TarFile;

struct CrashPoint {
  const char* name;
  bool committed;  // whether the image is there afterwards
};

class CrashTest : public test::StoreTest, public ::testing::WithParamInterface<CrashPoint> {
 protected:
  // Contents of their own, and one that the base has too.
  static std::string BaseTar() {
    return MakeTar({{.path = "shared", .content = "shared content"}});
  }
  static std::string NewTar(int files) {
    std::vector<TarFile> all = {{.path = "copy", .content = "shared content"}};
    for (int i = 0; i < files; ++i) {
      all.push_back({.path = "new" + std::to_string(i), .content = "content " + std::to_string(i)});
    }
    return MakeTar(all);
  }

  void CrashWhileAdding(const std::string& tar) {
    ImageId base = Must(AddImage(store(), {BaseTar()}, "docker.io/library/base:latest"));
    auto before = FilesIn("objects");
    auto layers_before = FilesIn("layers");

    int status = InChild([&](Store& mine) {
      if (!ArmFaults(std::string(GetParam().name) + "=kill")) return 1;
      std::ignore = AddImage(mine, {BaseTar(), tar}, "docker.io/library/new:latest");
      return 2;
    });
    ASSERT_TRUE(WIFSIGNALED(status)) << "the point was not passed; status " << status;
    ASSERT_EQ(WTERMSIG(status), SIGKILL);

    DiffId layer(Digest::Of(tar));
    EXPECT_EQ(Must(store().catalog().FindLayer(layer)).has_value(), GetParam().committed);
    EXPECT_EQ(Must(store().catalog().FindReference("docker.io/library/new:latest")).has_value(),
              GetParam().committed);
    EXPECT_TRUE(Must(store().catalog().FindImage(base)));
    EXPECT_THAT(Must(Check(store(), true, {})).problems, ::testing::IsEmpty());

    ASSERT_OK(Sweep(store()));
    EXPECT_TRUE(std::filesystem::is_empty(PathOf("ingest")));
    if (GetParam().committed) {
      EXPECT_TRUE(Must(test::TarOf(store(), layer)) == tar);
    } else {
      EXPECT_EQ(FilesIn("objects"), before) << "bytes leaked";
      EXPECT_EQ(FilesIn("layers"), layers_before);
    }

    ASSERT_OK(AddImage(store(), {BaseTar(), tar}, "docker.io/library/new:latest"));
    EXPECT_TRUE(Must(test::TarOf(store(), layer)) == tar);
    EXPECT_THAT(Must(Check(store(), true, {})).problems, ::testing::IsEmpty());
  }
};

TEST_P(CrashTest, LeavesAFewFilesOrNothing) { CrashWhileAdding(NewTar(3)); }
TEST_P(CrashTest, LeavesManyFilesOrNothing) { CrashWhileAdding(NewTar(50)); }

TEST_P(CrashTest, ARepeatedLoadNeedsNoSweep) {
  std::string tar = NewTar(3);
  InChild([&](Store& mine) {
    if (!ArmFaults(std::string(GetParam().name) + "=kill")) return 1;
    std::ignore = AddImage(mine, {tar});
    return 2;
  });
  ASSERT_OK(AddImage(store(), {tar}));
  EXPECT_TRUE(Must(test::TarOf(store(), DiffId(Digest::Of(tar)))) == tar);
  EXPECT_THAT(Must(Check(store(), true, {})).problems, ::testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Publish, CrashTest,
                         ::testing::Values(CrashPoint{"store.publish", false},
                                           CrashPoint{"store.contents_synced", false},
                                           CrashPoint{"store.objects_named", false},
                                           CrashPoint{"store.layers_named", false},
                                           CrashPoint{"store.names_synced", false},
                                           CrashPoint{"store.before_commit", false},
                                           CrashPoint{"store.committed", true}),
                         [](const auto& point) {
                           std::string name = point.param.name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

class SweepCrashTest : public test::StoreTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(SweepCrashTest, ALaterSweepFinishesTheWork) {
  std::string kept = MakeTar({{.path = "a", .content = "kept"}});
  std::string gone = MakeTar({{.path = "a", .content = "kept"}, {.path = "b", .content = "gone"}});
  Must(AddImage(store(), {kept}));
  auto before = FilesIn("objects");
  auto layers_before = FilesIn("layers");
  Must(test::AddLayer(store(), gone));

  int status = InChild([&](Store& mine) {
    if (!ArmFaults(std::string(GetParam()) + "=kill")) return 1;
    std::ignore = Sweep(mine);
    return 2;
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_THAT(Must(Check(store(), true, {})).problems, ::testing::IsEmpty());
  ASSERT_OK(Sweep(store()));
  EXPECT_EQ(FilesIn("objects"), before);
  EXPECT_EQ(FilesIn("layers"), layers_before);
}

INSTANTIATE_TEST_SUITE_P(Sweep, SweepCrashTest,
                         ::testing::Values("sweep.rows_gone", "sweep.layers_gone"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "sweep");
                         });

}  // namespace
}  // namespace veneer
