// Owners: what uidmapping, gidmapping and squash_to_* show, and what they put on disk.
#include "fs/ownership.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

TEST(IdMapTest, MapsBothWays) {
  auto map = IdMap::Parse(":0:1000:1:1:100000:65536");
  ASSERT_TRUE(map) << map.error().Message();
  EXPECT_EQ(map->Shown(0), 1000u);
  EXPECT_EQ(map->Shown(65536), 165535u);
  EXPECT_EQ(map->Shown(65537), std::nullopt);
  EXPECT_EQ(map->OnDisk(1000), 0u);
  EXPECT_EQ(map->OnDisk(100004), 5u);
  EXPECT_EQ(map->OnDisk(0), std::nullopt);
  EXPECT_EQ(IdMap().Shown(7), 7u);
  EXPECT_EQ(IdMap().OnDisk(7), 7u);
}

// As `uid` in group `gid`: what `body` returns.
template <typename Body>
int As(uid_t uid, gid_t gid, Body body) {
  pid_t child = fork();
  if (child == 0) {
    if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) _exit(200);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::pair<uid_t, gid_t> Owner(const std::string& path) {
  struct stat st = Stat(path);
  return {st.st_uid, st.st_gid};
}
using Ids = std::pair<uid_t, gid_t>;

class MappedOwners : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    for (const char* name : {"root", "one", "far", "linked"}) WriteFile(dir + "/" + name, name);
    MakeDirs(dir + "/d");
    ASSERT_EQ(symlink("root", (dir + "/s").c_str()), 0);
    ASSERT_EQ(lchown((dir + "/s").c_str(), 2, 2), 0);
    ASSERT_EQ(chown((dir + "/one").c_str(), 1, 1), 0);
    ASSERT_EQ(chown((dir + "/d").c_str(), 1, 1), 0);
    ASSERT_EQ(chown((dir + "/far").c_str(), 500, 500), 0);
    ASSERT_EQ(chmod(dir.c_str(), 0777), 0);
  }
  std::string Options() const override {
    return "uidmapping=0:1000:1:1:2000:99,gidmapping=0:1000:1:1:2000:99";
  }
};

TEST_P(MappedOwners, ShowAndStore) {
  EXPECT_EQ(Owner(At("root")), Ids(1000, 1000));
  EXPECT_EQ(Owner(At("one")), Ids(2000, 2000));
  EXPECT_EQ(Owner(At("s")), Ids(2001, 2001));
  EXPECT_EQ(Owner(At("far")), Ids(65534, 65534));
  EXPECT_EQ(As(2004, 2005,
               [&] {
                 int fd = open(At("new").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
                 return fd >= 0 && mkdir(At("newdir").c_str(), 0755) == 0 &&
                                symlink("x", At("newlink").c_str()) == 0
                            ? 0
                            : errno;
               }),
            0);
  for (const char* name : {"new", "newdir", "newlink"}) {
    EXPECT_EQ(Owner(At(name)), Ids(2004, 2005)) << name;
    EXPECT_EQ(Owner(work().upper() + "/" + name), Ids(5, 6)) << name;
  }
  ASSERT_EQ(chown(At("new").c_str(), 1000, 2000), 0);
  EXPECT_EQ(Owner(work().upper() + "/new"), Ids(0, 1));
  EXPECT_EQ(Owner(At("new")), Ids(1000, 2000));
}

TEST_P(MappedOwners, CopyUpKeepsThem) {
  for (const char* name : {"root", "one", "far", "d"}) {
    Ids before = Owner(At(name));
    ASSERT_EQ(chmod(At(name).c_str(), 0700), 0);
    EXPECT_EQ(Owner(At(name)), before) << name;
  }
  ASSERT_EQ(chown(At("one").c_str(), 2007, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(Owner(At("one")), Ids(2007, 2000));
  EXPECT_EQ(Owner(work().upper() + "/far"), Ids(500, 500));
  work().Remount();
  EXPECT_EQ(Owner(At("one")), Ids(2007, 2000));
  EXPECT_EQ(Owner(At("far")), Ids(65534, 65534));
}

TEST_P(MappedOwners, WhoIsNotMappedCannotOwnAnything) {
  EXPECT_EQ(chown(At("one").c_str(), 77, static_cast<gid_t>(-1)), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(chown(At("one").c_str(), static_cast<uid_t>(-1), 77), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(Owner(At("one")), Ids(2000, 2000));
  EXPECT_EQ(As(77, 77,
               [&] {
                 return open(At("no").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644) < 0 ? errno
                                                                                         : 0;
               }),
            EOVERFLOW);
  EXPECT_FALSE(Exists(At("no")));
}

TEST_P(MappedOwners, AclsNameTheSamePeople) {
  ASSERT_EQ(std::system(("setfacl -m u:2004:rw,g:2005:r '" + At("one") + "'").c_str()), 0);
  std::string get = "getfacl -cpn '";
  auto has = [&](const std::string& path, const char* entry) {
    return std::system((get + path + "' | grep -q '^" + entry + "'").c_str()) == 0;
  };
  EXPECT_TRUE(has(At("one"), "user:2004:rw-"));
  EXPECT_TRUE(has(At("one"), "group:2005:r--"));
  EXPECT_TRUE(has(work().upper() + "/one", "user:5:rw-"));
  EXPECT_TRUE(has(work().upper() + "/one", "group:6:r--"));
  EXPECT_EQ(As(2004, 2004, [&] { return access(At("one").c_str(), W_OK) == 0 ? 0 : errno; }), 0);
  EXPECT_NE(std::system(("setfacl -m u:77:rw '" + At("one") + "' 2>/dev/null").c_str()), 0);
}

TEST_P(MappedOwners, SetgidDirectoriesAndPermissionsGoByWhatIsShown) {
  ASSERT_EQ(chmod(At("d").c_str(), 02775), 0);
  auto make = [&](const char* name) { return mkdir(At(name).c_str(), 0755) == 0 ? 0 : errno; };
  EXPECT_EQ(As(2030, 2000, [&] { return make("d/in"); }), 0);
  EXPECT_EQ(Owner(At("d/in")), Ids(2030, 2000));
  EXPECT_EQ(Stat(At("d/in")).st_mode & 07777, 02755u);
  EXPECT_EQ(As(2030, 2030, [&] { return make("d/out"); }), EACCES);
}

VENEER_OVER_MOUNTS(MappedOwners);

class SquashedOwners : public MappedOwners {
 protected:
  std::string Options() const override { return "squash_to_uid=42,squash_to_gid=43"; }
};

TEST_P(SquashedOwners, EverythingBelongsToOne) {
  for (const char* name : {"root", "one", "far", "d", "s", ""}) {
    EXPECT_EQ(Owner(At(name)), Ids(42, 43)) << name;
  }
  EXPECT_EQ(As(42, 43,
               [&] {
                 int fd = open(At("new").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
                 return fd >= 0 && chmod(At("far").c_str(), 0600) == 0 ? 0 : errno;
               }),
            0);
  ASSERT_EQ(chown(At("new").c_str(), 5, 5), 0);
  EXPECT_EQ(Owner(At("new")), Ids(42, 43));
  EXPECT_EQ(Owner(At("far")), Ids(42, 43));
  EXPECT_EQ(Owner(work().upper() + "/far"), Ids(500, 500));
}

VENEER_OVER_MOUNTS(SquashedOwners);

}  // namespace
}  // namespace veneer::fs::testing
