// Listings: large, merged, and stable while names come and go. Long names and deep paths.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <set>

#include "tests/conformance/conformance.h"

namespace veneer::fs::conformance {
namespace {

using testing::MakeDirs;
using testing::WriteFile;
using Names = std::vector<std::string>;

constexpr int kMany = 400;

// Long enough for a listing to take several calls of getdents.
std::string Name(const char* what, int i) {
  return what + std::to_string(i) + std::string(100, '-');
}

class Listing : public Conformance {
 protected:
  void Populate(const std::string& dir) override {
    MakeDirs(dir + "/many");
    for (int i = 0; i < kMany; ++i) {
      ASSERT_EQ(mknod((dir + "/many/" + Name("lower", i)).c_str(), S_IFREG | 0644, 0), 0);
    }
  }
  DirectoryPtr OpenMany() {
    auto dir = fs().OpenDir("many");
    EXPECT_TRUE(dir);
    return dir ? std::move(*dir) : nullptr;
  }
  // Reads on to the end.
  Names Rest(Directory& dir) {
    Names names;
    for (;;) {
      auto item = dir.Next();
      EXPECT_TRUE(item);
      if (!item || !*item) return names;
      names.push_back((*item)->name);
    }
  }
};

TEST_P(Listing, MergesManyNamesOnce) {
  for (int i = 0; i < kMany; i += 3) {
    ASSERT_EQ(Code(fs().Unlink("many/" + Name("lower", i))), 0);
    Write("many/" + Name("upper", i), "");
  }
  for (int round = 0; round < 2; ++round) {
    Names names = List("many");
    EXPECT_EQ(names.size(), static_cast<size_t>(kMany));
    EXPECT_EQ(std::set(names.begin(), names.end()).size(), names.size());
    Remount();
  }
}

TEST_P(Listing, RemovingWhileReadingMissesNothing) {
  DirectoryPtr dir = OpenMany();
  int removed = 0;
  for (;;) {
    auto item = dir->Next();
    ASSERT_TRUE(item);
    if (!*item) break;
    if ((*item)->name == "." || (*item)->name == "..") continue;
    ASSERT_EQ(Code(fs().Unlink("many/" + (*item)->name)), 0);
    ++removed;
  }
  EXPECT_EQ(removed, kMany);
  dir->Rewind();
  EXPECT_EQ(Rest(*dir).size(), 2u);
  dir.reset();
  EXPECT_EQ(Code(fs().RemoveDir("many")), 0);
}

// Each name that stays is seen once, whatever comes and goes meanwhile.
TEST_P(Listing, NamesThatStayAreSeenOnce) {
  DirectoryPtr dir = OpenMany();
  std::multiset<std::string> seen;
  for (int i = 0;; ++i) {
    auto item = dir->Next();
    ASSERT_TRUE(item);
    if (!*item) break;
    seen.insert((*item)->name);
    if (i >= kMany / 3) continue;
    Write("many/" + Name("new", i), "");
    ASSERT_EQ(Code(fs().Unlink("many/" + Name("lower", i))), 0);
    ASSERT_EQ(Code(fs().Rename("many/" + Name("lower", kMany / 3 + i), "many/" + Name("moved", i))),
              0);
  }
  for (int i = 2 * kMany / 3; i < kMany; ++i) EXPECT_EQ(seen.count(Name("lower", i)), 1u) << i;
  for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1u) << name;
}

TEST_P(Listing, PositionsStayValid) {
  DirectoryPtr dir = OpenMany();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(*dir->Next());
  uint64_t position = dir->Tell();
  std::string next = (*dir->Next())->name;
  std::string removed = next == Name("lower", 7) ? Name("lower", 8) : Name("lower", 7);
  Write("many/another", "");
  ASSERT_EQ(Code(fs().Unlink("many/" + removed)), 0);
  Names rest = Rest(*dir);
  dir->Seek(position);
  EXPECT_EQ((*dir->Next())->name, next);
  dir->Seek(position);
  Names again = Rest(*dir);
  std::set<std::string> seen(again.begin(), again.end());
  for (const std::string& name : rest) {
    EXPECT_TRUE(seen.contains(name) || name == removed || name == "another") << name;
  }
}

// Somebody who is in the middle goes on from there, though the name there is gone and others have
// read the directory since.
TEST_P(Listing, OthersWhoListDisturbNobody) {
  for (int odd = 0; odd < 2; ++odd) {
    std::string many = odd == 0 ? "many" : "new";
    if (odd == 1) {
      ASSERT_EQ(Code(fs().MakeDir(many)), 0);
      for (int i = 0; i < kMany; ++i) Write(many + "/" + Name("lower", i), "");
    }
    for (int gone = 0; gone < 2;
         ++gone) {  // one of them has what a piece of the listing ended with
      EXPECT_EQ(List(many).size(), static_cast<size_t>(kMany - gone * kMany / 4));
      auto reader = fs().OpenDir(many);
      ASSERT_TRUE(reader);
      std::multiset<std::string> seen;
      for (int i = 0; i < 10; ++i) seen.insert((*(*reader)->Next())->name);
      for (int i = gone; i < kMany; i += 4) {
        ASSERT_EQ(Code(fs().Unlink(many + "/" + Name("lower", i))), 0);
      }
      for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(List(many).size(), static_cast<size_t>(kMany - (gone + 1) * kMany / 4));
      }
      for (const std::string& name : Rest(**reader)) seen.insert(name);
      for (int i = 0; i < kMany; ++i) {
        if (i % 4 <= gone) continue;
        EXPECT_EQ(seen.count(Name("lower", i)), 1u) << many << " " << i;
      }
    }
  }
}

TEST_P(Listing, RewindingShowsWhatIsThereNow) {
  DirectoryPtr dir = OpenMany();
  EXPECT_EQ(Rest(*dir).size(), kMany + 2u);
  Write("many/new", "");
  ASSERT_EQ(Code(fs().Unlink("many/" + Name("lower", 0))), 0);
  ASSERT_EQ(Code(fs().Unlink("many/" + Name("lower", 1))), 0);
  dir->Rewind();
  Names names = Rest(*dir);
  EXPECT_EQ(names.size(), kMany + 1u);
  EXPECT_EQ(std::count(names.begin(), names.end(), "new"), 1);
}

VENEER_CONFORMANCE(Listing);

// Readers whose buffers hold a part of the listing.
class Readers : public KernelConformance {
 protected:
  class Reader {
   public:
    explicit Reader(const std::string& path)
        : fd_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
    // False: the end.
    bool Next(std::multiset<std::string>* names, size_t size = 4096) {
      alignas(8) char buffer[4096];
      long n = syscall(SYS_getdents64, fd_.get(), buffer, size);
      EXPECT_GE(n, 0);
      for (long at = 0; at < n;) {
        const auto* entry = reinterpret_cast<const struct dirent64*>(buffer + at);
        if (names != nullptr) names->insert(entry->d_name);
        at += entry->d_reclen;
      }
      return n > 0;
    }

   private:
    UniqueFd fd_;
  };
};

// A directory changes when one reader is in the middle; another, who begins then, sees it as it is,
// wherever the first goes on meanwhile.
TEST_P(Readers, WhoBeginsAfterAChangeSeesIt) {
  auto name = [&](const char* what, int i) { return path() + "/d/" + Name(what, i); };
  ASSERT_EQ(mkdir((path() + "/d").c_str(), 0755), 0);
  for (int i = 0; i < kMany; ++i) WriteFile(name("old", i), "");
  for (int pieces = 1; pieces < 12; pieces += 3) {
    Reader first(path() + "/d");
    for (int i = 0; i < pieces; ++i) ASSERT_TRUE(first.Next(nullptr));
    for (int i = pieces; i < kMany; i += 12) {
      ASSERT_EQ(unlink(name("old", i).c_str()), 0);
      WriteFile(name("new", i), "");
    }
    Reader second(path() + "/d");
    std::multiset<std::string> seen;
    ASSERT_TRUE(second.Next(&seen));
    while (first.Next(nullptr)) {
    }
    while (second.Next(&seen)) {
    }
    EXPECT_EQ(seen.size(), kMany + 2u) << pieces;
    for (const std::string& entry : seen) {
      EXPECT_EQ(seen.count(entry), 1u) << entry;
      EXPECT_EQ(access((path() + "/d/" + entry).c_str(), F_OK), 0) << entry;
    }
  }
}

// A directory whose names fill whole pages of the kernel's copy, and one with a name more and less.
TEST_P(Readers, WhoIsInTheMiddleOfWholePagesGoesOn) {
  for (int count : {125, 126, 127, 254}) {  // and "." and "..", of 32 bytes each
    std::string dir = path() + "/d" + std::to_string(count);
    ASSERT_EQ(mkdir(dir.c_str(), 0755), 0);
    for (int i = 0; i < count; ++i) WriteFile(dir + "/n" + std::to_string(i), "");
    auto list = [&] {
      Reader whole(dir);
      std::multiset<std::string> names;
      while (whole.Next(&names)) {
      }
      EXPECT_EQ(names.size(), count + 2u);
    };
    list();
    Reader reader(dir);
    std::multiset<std::string> seen;
    ASSERT_TRUE(reader.Next(&seen, 1024));
    WriteFile(dir + "/other", "");
    ASSERT_EQ(unlink((dir + "/other").c_str()), 0);
    list();
    list();
    while (reader.Next(&seen)) {
    }
    EXPECT_EQ(seen.size(), count + 2u);
  }
}

VENEER_KERNEL_CONFORMANCE(Readers);

class Names255 : public Conformance {};

TEST_P(Names255, NamesOf255BytesAreNamesAnd256AreTooLong) {
  std::string name(255, 'n');
  std::string longer(256, 'x');
  ASSERT_EQ(Code(fs().MakeDir(name)), 0);
  Write(name + "/" + name, "deep");
  ASSERT_EQ(Code(fs().Rename(name, std::string(255, 'm'))), 0);
  EXPECT_EQ(Read(std::string(255, 'm') + "/" + name), "deep");
  EXPECT_EQ(Code(fs().MakeDir(longer)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().Stat(longer)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().Open(longer, O_CREAT | O_WRONLY)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().MakeSymlink("x", longer)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().Unlink(longer)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().RemoveDir(longer)), ENAMETOOLONG);
  EXPECT_EQ(Code(fs().Rename(std::string(255, 'm'), longer)), ENAMETOOLONG);
}

TEST_P(Names255, AnyByteButSlashAndNulIsAName) {
  for (const char* name : {"\n", "\xff\xfe", "a b", "-", "...", "\\", "%s", "'\""}) {
    Write(name, name);
    EXPECT_EQ(Read(name), name);
  }
  Remount();
  EXPECT_EQ(List("").size(), 8u);
}

TEST_P(Names255, LongSymlinksKeepTheirTarget) {
  for (size_t size : {1, 59, 60, 255, 4095}) {
    std::string target(size, 't');
    ASSERT_EQ(Code(fs().MakeSymlink(target, "s" + std::to_string(size))), 0);
    EXPECT_EQ(*fs().ReadLink("s" + std::to_string(size)), target);
    EXPECT_EQ(Stat("s" + std::to_string(size)).st_size, static_cast<off_t>(size));
  }
}

TEST_P(Names255, RemovedDirectoryInUse) {
  ASSERT_EQ(Code(fs().MakeDir("gone")), 0);
  auto dir = fs().OpenDir("gone");
  ASSERT_TRUE(dir);
  ASSERT_EQ(Code(fs().RemoveDir("gone")), 0);
  EXPECT_EQ((*dir)->Stat()->st_nlink, 0u);
  EXPECT_EQ(Code((*dir)->Create("x")), ENOENT);
  auto none = (*dir)->Next();
  EXPECT_TRUE(!none || !*none || (*none)->name == ".");
  ASSERT_EQ(Code(fs().MakeDir("gone")), 0);
  Write("gone/new", "new");
  EXPECT_EQ(Code((*dir)->Create("y")), ENOENT) << "it is another directory";
}

TEST_P(Names255, ChangesShowInTheTimesOfADirectory) {
  ASSERT_EQ(Code(fs().MakeDir("d")), 0);
  auto age = [&] { ASSERT_EQ(Code(fs().SetTimes("d", {1000, 0}, {1000, 0})), 0); };
  auto changed = [&] { return Stat("d").st_mtim.tv_sec > 1000; };
  age();
  Write("d/f", "1");
  EXPECT_TRUE(changed()) << "create";
  age();
  Append("d/f", "2");
  EXPECT_FALSE(changed()) << "writing a file is no change of its directory";
  ASSERT_EQ(Code(fs().Link("d/f", "d/g")), 0);
  EXPECT_TRUE(changed()) << "link";
  age();
  ASSERT_EQ(Code(fs().Unlink("d/f")), 0);
  EXPECT_TRUE(changed()) << "unlink";
  age();
  ASSERT_EQ(Code(fs().MakeDir("d/sub")), 0);
  EXPECT_TRUE(changed()) << "mkdir";
  age();
  ASSERT_EQ(Code(fs().RemoveDir("d/sub")), 0);
  EXPECT_TRUE(changed()) << "rmdir";
}

VENEER_CONFORMANCE(Names255);

class LowerDirectory : public Conformance {
 protected:
  void Populate(const std::string& dir) override { MakeDirs(dir + "/empty"); }
};

TEST_P(LowerDirectory, IsRemovedWhileInUse) {
  auto dir = fs().OpenDir("empty");
  ASSERT_TRUE(dir);
  ASSERT_EQ(Code(fs().RemoveDir("empty")), 0);
  EXPECT_EQ((*dir)->Stat()->st_nlink, 0u);
  EXPECT_EQ(Code((*dir)->Create("x")), ENOENT);
  ASSERT_EQ(Code(fs().MakeDir("empty")), 0);
  Write("empty/new", "new");
  EXPECT_EQ(Code((*dir)->Create("y")), ENOENT) << "it is another directory";
  EXPECT_EQ(List("empty").size(), 1u);
}

VENEER_CONFORMANCE(LowerDirectory);

class DeepPaths : public KernelConformance {};

TEST_P(DeepPaths, DeeperThanAnyPath) {
  std::string name(255, 'n');
  UniqueFd at(open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0755), 0) << i;
    at = UniqueFd(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at) << i;
  }
  UniqueFd file(openat(at.get(), "deep", O_CREAT | O_RDWR | O_CLOEXEC, 0644));
  EXPECT_TRUE(file);
}

TEST_P(DeepPaths, APathMayHavePathMaxBytes) {
  std::string at = path();
  while (at.size() + 101 < PATH_MAX - 101) {
    at += "/" + std::string(100, 'd');
    ASSERT_EQ(mkdir(at.c_str(), 0755), 0) << at.size();
  }
  std::string longest = at + "/" + std::string(PATH_MAX - 1 - at.size() - 1, 'f');
  ASSERT_EQ(longest.size(), PATH_MAX - 1u);
  WriteFile(longest, "reached");
  EXPECT_EQ(testing::ReadFile(longest), "reached");
  EXPECT_EQ(open((longest + "f").c_str(), O_RDONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  ASSERT_EQ(chmod(longest.c_str(), 0600), 0);
  ASSERT_EQ(rename(longest.c_str(), (at + "/g").c_str()), 0);
  EXPECT_EQ(testing::ReadFile(at + "/g"), "reached");
}

VENEER_KERNEL_CONFORMANCE(DeepPaths);

}  // namespace
}  // namespace veneer::fs::conformance
