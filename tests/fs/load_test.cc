// Many threads on one mount: each changes a directory of its own, whose state it knows exactly, and
// directories shared by all, of which it knows what may never be seen: a name lost, a link count
// that is too low, content that nobody wrote.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

constexpr int kThreads = 64;
constexpr int kShared = 3;     // directories s0, s1, s2
constexpr int kStatics = 60;   // names in each that nobody touches
constexpr int kTokens = 48;    // files that move about, each known by its content
constexpr int kLinked = 16;    // the first so many of them have a second name, in links/
constexpr int kDirTokens = 8;  // directories that move about
constexpr int kSlots = 24;     // names that come and go
constexpr int kCurrent = 8;    // names that are replaced by renames, and always there
constexpr int kBlocks = 4;     // files that are overwritten in place, a page at a time
constexpr int kPages = 4;
constexpr size_t kPage = 4096;
constexpr size_t kRecord = 64;  // of the log that all append to

std::chrono::milliseconds Duration() {
  // tests/e2e/load_soak.sh asks for more.
  const char* seconds = getenv("VENEER_LOAD_SECONDS");
  return seconds != nullptr ? std::chrono::seconds(atoi(seconds)) : std::chrono::seconds(2);
}

// A page that says, in each of its words, which thread wrote it.
uint64_t Stamp(int thread, uint64_t turn) {
  return 0x5eed000000000000 | static_cast<uint64_t>(thread) << 40 | (turn & 0xffffffffff);
}
std::string StampedPage(uint64_t stamp) {
  std::string page(kPage, '\0');
  for (size_t at = 0; at < kPage; at += sizeof stamp) memcpy(&page[at], &stamp, sizeof stamp);
  return page;
}
bool IsStamp(uint64_t word) { return word >> 48 == 0x5eed && (word >> 40 & 0xff) <= kThreads; }

std::string Record(int thread, uint64_t turn) {
  return fmt::format("{:<63}\n", fmt::format("{} {}", thread, turn));
}

// What went wrong, from any thread.
class Complaints {
 public:
  void Add(const std::string& what) {
    std::lock_guard lock(mu_);
    ++count_;
    if (texts_.size() < 20) texts_.push_back(what);
  }
  void Report() const {
    for (const std::string& text : texts_) ADD_FAILURE() << text;
    EXPECT_EQ(count_, 0u);
  }

 private:
  std::mutex mu_;
  size_t count_ = 0;
  std::vector<std::string> texts_;
};

struct Shared {
  std::string root;
  Complaints complaints;
  std::atomic<bool> stop{false};
  std::atomic<int> slots[kSlots];      // made - removed
  std::atomic<int> slot_dirs[kSlots];  // the same, of directories
  std::atomic<uint64_t> records{0};    // appended to the log
  std::atomic<uint64_t> operations{0};
};

// The whole content, or nullopt and errno.
std::optional<std::string> Slurp(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string content(64 << 10, '\0');
  size_t size = 0;
  for (ssize_t n; (n = read(fd.get(), &content[size], content.size() - size)) != 0;) {
    if (n < 0) return std::nullopt;
    size += static_cast<size_t>(n);
  }
  content.resize(size);
  return content;
}

class Worker {
 public:
  Worker(Shared& shared, int number)
      : shared_(shared), number_(number), random_(static_cast<unsigned>(number) * 7919 + 1) {
    own_ = shared.root + fmt::format("/p{}", number);
    for (int i = 0; i < 4; ++i) names_[fmt::format("sub/f{}", i)] = NewFile(fmt::format("f{}", i));
    int linked = NewFile("linked");
    names_["linked"] = names_["sub/linked"] = linked;
  }

  void Run() {
    while (!shared_.stop.load(std::memory_order_relaxed)) {
      if (Pick(2) == 0) {
        ChangeOwn();
      } else {
        ChangeShared();
      }
      shared_.operations.fetch_add(1, std::memory_order_relaxed);
    }
    CheckOwn();
  }

  // That the thread's own directory is what it made of it.
  void CheckOwn() {
    std::set<std::string> top, below;
    for (const auto& [name, file] : names_) {
      bool in_sub = name.starts_with("sub/");
      (in_sub ? below : top).insert(in_sub ? name.substr(4) : name);
      CheckFile(name);
    }
    top.insert(moved_ ? "bus" : "sub");
    Expect(List(own_) == top, "listing of " + own_);
    Expect(List(Own("sub/")) == below, "listing of " + own_ + "/sub");
  }

 private:
  struct File {
    std::string content;
    int links = 0;
  };

  int Pick(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
  void Fail(const std::string& what) {
    shared_.complaints.Add(fmt::format("thread {}: {}", number_, what));
  }
  void Expect(bool ok, const std::string& what) {
    if (!ok) Fail(what + " is not as it should be");
  }
  // A call that returned `result` may have failed with one of `errors` only.
  bool Did(long result, const std::string& what, std::initializer_list<int> errors = {}) {
    int error = errno;
    if (result >= 0) return true;
    for (int allowed : errors) {
      if (error == allowed) return false;
    }
    Fail(what + ": " + strerror(error));
    return false;
  }

  // ---- the thread's own directory

  int NewFile(const std::string& content) {
    files_.push_back({content});
    return static_cast<int>(files_.size()) - 1;
  }
  std::string Own(const std::string& name) {
    return own_ + "/" + (moved_ && name.starts_with("sub/") ? "bus/" + name.substr(4) : name);
  }
  std::string FreshName() { return fmt::format("{}n{}", Pick(2) == 0 ? "sub/" : "", turn_++); }
  std::string AnyName() {
    return std::next(names_.begin(), Pick(static_cast<int>(names_.size())))->first;
  }

  long Links(int file) {
    long links = 0;
    for (const auto& [name, named] : names_) links += named == file ? 1 : 0;
    return links;
  }
  void CheckFile(const std::string& name) {
    int file = names_[name];
    auto content = Slurp(Own(name));
    if (!content) return Fail("reading " + Own(name) + ": " + strerror(errno));
    Expect(*content == files_[static_cast<size_t>(file)].content, "content of " + Own(name));
    struct stat st = {};
    if (!Did(lstat(Own(name).c_str(), &st), "stat of " + Own(name))) return;
    if (static_cast<long>(st.st_nlink) != Links(file)) {
      Fail(fmt::format("{} has {} links, not {}", Own(name), st.st_nlink, Links(file)));
    }
  }
  std::set<std::string> List(const std::string& path) {
    std::set<std::string> names;
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) {
      Fail("opendir " + path + ": " + strerror(errno));
      return names;
    }
    while (struct dirent* entry = readdir(dir)) {
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      Expect(names.insert(name).second || name[0] != 's', "listing, with " + name + " twice,");
    }
    closedir(dir);
    return names;
  }

  void ChangeOwn() {
    if (names_.size() < 3 || (names_.size() < 12 && Pick(3) == 0)) return MakeOwn();
    std::string name = AnyName();
    switch (Pick(9)) {
      case 0:
        return CheckOwn();
      case 1:
      case 2:
        return CheckFile(name);
      case 3: {
        std::string to = Pick(2) == 0 ? FreshName() : AnyName();
        if (!Did(rename(Own(name).c_str(), Own(to).c_str()), "rename")) return;
        int file = names_[name];
        // Between two names of one file, rename does nothing.
        if (names_.contains(to) && names_[to] == file) return;
        names_.erase(name);
        names_[to] = file;
        return;
      }
      case 4: {
        std::string to = FreshName();
        if (Did(link(Own(name).c_str(), Own(to).c_str()), "link")) names_[to] = names_[name];
        return;
      }
      case 5:
        if (Did(unlink(Own(name).c_str()), "unlink")) names_.erase(name);
        return;
      case 6: {
        std::string more = fmt::format("more {}\n", turn_++);
        UniqueFd fd(open(Own(name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
        if (!Did(fd.get(), "open to append")) return;
        std::string& content = files_[static_cast<size_t>(names_[name])].content;
        if (content.size() > kPage && Did(ftruncate(fd.get(), 10), "truncate")) content.resize(10);
        if (Did(write(fd.get(), more.data(), more.size()), "append")) content += more;
        return;
      }
      case 7: {
        const char* from = moved_ ? "/bus" : "/sub";
        const char* to = moved_ ? "/sub" : "/bus";
        if (Did(rename((own_ + from).c_str(), (own_ + to).c_str()), "rename of a directory")) {
          moved_ = !moved_;
        }
        return;
      }
      default:
        Did(chmod(Own(name).c_str(), Pick(2) == 0 ? 0644 : 0600), "chmod");
    }
  }

  void MakeOwn() {
    std::string name = FreshName();
    std::string content = fmt::format("thread {} turn {}\n", number_, turn_);
    UniqueFd fd(open(Own(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!Did(fd.get(), "create")) return;
    if (!Did(write(fd.get(), content.data(), content.size()), "write")) content.clear();
    names_[name] = NewFile(content);
  }

  // ---- the directories of all

  std::string In(int dir, const std::string& name) {
    return fmt::format("{}/s{}/{}", shared_.root, dir, name);
  }
  std::string Somewhere(const std::string& name) { return In(Pick(kShared), name); }

  void ChangeShared() {
    switch (Pick(10)) {
      case 0:
        return MoveToken();
      case 1:
        return UseToken();
      case 2:
        return LinkToken();
      case 3:
        return MoveDirectory();
      case 4:
        return UseSlot();
      case 5:
        return Replace();
      case 6:
        return ReadCurrent();
      case 7:
        return Append();
      case 8:
        return UseBlock();
      default:
        return CheckStatics();
    }
  }

  // A token has one name among s0, s1 and s2 at any time; which one is not known.
  std::string Token() { return fmt::format("t-{}", Pick(kTokens)); }

  void MoveToken() {
    std::string from = Somewhere(Token());
    bool exchange = Pick(3) == 0;
    std::string to = Somewhere(Token());
    Did(renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                  exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE),
        "rename of a token", {ENOENT, EEXIST});
  }
  void UseToken() {
    std::string path = Somewhere(Token());
    if (Pick(3) == 0) {
      Did(chmod(path.c_str(), Pick(2) == 0 ? 0644 : 0640), "chmod of a token", {ENOENT});
      return;
    }
    UniqueFd fd(open(path.c_str(), (Pick(2) == 0 ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!Did(fd.get(), "open of a token", {ENOENT})) return;
    std::string content(64, '\0');
    ssize_t n = read(fd.get(), content.data(), content.size());
    if (!Did(n, "read of a token")) return;
    content.resize(static_cast<size_t>(n));
    Expect(content.starts_with("token ") && content.ends_with("\n"), "a token's content");
    struct stat st = {};
    if (Did(fstat(fd.get(), &st), "fstat of a token")) {
      Expect(st.st_nlink >= 1, "a token's link count");
    }
  }
  void LinkToken() {
    std::string path = Somewhere(fmt::format("l-{}-{}", number_, turn_++));
    if (!Did(link(Somewhere(Token()).c_str(), path.c_str()), "link of a token", {ENOENT})) return;
    struct stat st = {};
    if (Did(lstat(path.c_str(), &st), "stat of a token")) {
      Expect(st.st_nlink >= 2, "a linked token's link count");
    }
    Did(unlink(path.c_str()), "unlink of a token");
  }
  void MoveDirectory() {
    std::string name = fmt::format("d-{}", Pick(kDirTokens));
    std::string from = Somewhere(name);
    if (Pick(2) == 0) {
      auto content = Slurp(from + "/c/inner");
      if (content) Expect(*content == name, "what is in " + name);
      return;
    }
    // Of a directory that is empty nowhere: never replaced.
    Did(rename(from.c_str(), Somewhere(name).c_str()), "rename of a directory",
        {ENOENT, ENOTEMPTY, EEXIST});
  }
  void UseSlot() {
    int slot = Pick(kSlots);
    std::string path = In(0, fmt::format("slot-{}", slot));
    switch (Pick(4)) {
      case 0: {
        UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        if (Did(fd.get(), "create of a slot", {EEXIST})) ++shared_.slots[slot];
        return;
      }
      case 1:
        if (Did(unlink(path.c_str()), "unlink of a slot", {ENOENT})) --shared_.slots[slot];
        return;
      case 2:
        if (Did(mkdir((path + ".d").c_str(), 0755), "mkdir", {EEXIST})) ++shared_.slot_dirs[slot];
        return;
      default:
        if (Did(rmdir((path + ".d").c_str()), "rmdir", {ENOENT})) --shared_.slot_dirs[slot];
    }
  }
  void Replace() {
    std::string path = In(1, fmt::format("current-{}", Pick(kCurrent)));
    std::string fresh = In(1, fmt::format("next-{}", number_));
    UniqueFd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!Did(fd.get(), "create")) return;
    std::string page = StampedPage(Stamp(number_, turn_++));
    Did(write(fd.get(), page.data(), page.size()), "write");
    Did(rename(fresh.c_str(), path.c_str()), "replacing rename");
  }
  void ReadCurrent() {
    std::string path = In(1, fmt::format("current-{}", Pick(kCurrent)));
    auto content = Slurp(path);
    if (!content) return Fail("reading " + path + ": " + strerror(errno));
    uint64_t stamp = 0;
    memcpy(&stamp, content->data(), std::min(sizeof stamp, content->size()));
    Expect(IsStamp(stamp) && *content == StampedPage(stamp), "content of " + path);
  }
  void Append() {
    std::string record = Record(number_, turn_++);
    UniqueFd fd(open(In(2, "log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (!Did(fd.get(), "open of the log")) return;
    if (Did(write(fd.get(), record.data(), record.size()), "append to the log")) ++shared_.records;
  }
  void UseBlock() {
    std::string path = In(2, fmt::format("block-{}", Pick(kBlocks)));
    bool writing = Pick(2) == 0;
    UniqueFd fd(open(path.c_str(), (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!Did(fd.get(), "open of a block file")) return;
    off_t offset = static_cast<off_t>(kPage) * Pick(kPages);
    if (writing) {
      std::string page = StampedPage(Stamp(number_, turn_++));
      Did(pwrite(fd.get(), page.data(), page.size(), offset), "write of a block");
      return;
    }
    uint64_t words[kPage / sizeof(uint64_t)] = {};
    if (!Did(pread(fd.get(), words, kPage, offset), "read of a block")) return;
    for (uint64_t word : words) {
      if (!IsStamp(word)) return Fail(fmt::format("{} has {:x} at {}", path, word, offset));
    }
  }
  void CheckStatics() {
    std::string path = fmt::format("{}/s{}", shared_.root, Pick(kShared));
    std::set<std::string> names = List(path);
    for (int i = 0; i < kStatics; ++i) {
      if (!names.contains(fmt::format("static-{}", i))) {
        return Fail(fmt::format("{} lists {} names, and not static-{}", path, names.size(), i));
      }
    }
  }

  Shared& shared_;
  const int number_;
  std::minstd_rand random_;
  std::string own_;
  bool moved_ = false;  // sub is called bus
  uint64_t turn_ = 0;
  std::vector<File> files_;
  std::map<std::string, int> names_;  // of files_
};

class Load : public OverEachKind {
 protected:
  void Populate(const std::string& dir) override {
    for (int s = 0; s < kShared; ++s) {
      std::string folder = fmt::format("{}/s{}", dir, s);
      MakeDirs(folder);
      for (int i = 0; i < kStatics; ++i) WriteFile(fmt::format("{}/static-{}", folder, i), "s");
    }
    MakeDirs(dir + "/links");
    for (int i = 0; i < kTokens; ++i) {
      std::string path = fmt::format("{}/s{}/t-{}", dir, i % kShared, i);
      WriteFile(path, fmt::format("token {}\n", i));
      std::string second = fmt::format("{}/links/t-{}", dir, i);
      if (i < kLinked) {
        ASSERT_EQ(link(path.c_str(), second.c_str()), 0);
      }
    }
    for (int i = 0; i < kDirTokens; ++i) {
      std::string path = fmt::format("{}/s{}/d-{}", dir, i % kShared, i);
      MakeDirs(path + "/c");
      WriteFile(path + "/c/inner", fmt::format("d-{}", i));
      WriteFile(path + "/a", "a");
    }
    for (int i = 0; i < kSlots; i += 2) {
      WriteFile(fmt::format("{}/s0/slot-{}", dir, i), "slot");
      MakeDirs(fmt::format("{}/s0/slot-{}.d", dir, i));
    }
    std::string page = StampedPage(Stamp(kThreads, 0));
    for (int i = 0; i < kCurrent; ++i) WriteFile(fmt::format("{}/s1/current-{}", dir, i), page);
    std::string pages;
    for (int i = 0; i < kPages; ++i) pages += page;
    for (int i = 0; i < kBlocks; ++i) WriteFile(fmt::format("{}/s2/block-{}", dir, i), pages);
    WriteFile(dir + "/s2/log", Record(kThreads, 0));
    for (int t = 0; t < kThreads; ++t) {
      std::string own = fmt::format("{}/p{}", dir, t);
      MakeDirs(own + "/sub");
      for (int i = 0; i < 4; ++i) {
        WriteFile(fmt::format("{}/sub/f{}", own, i), fmt::format("f{}", i));
      }
      WriteFile(own + "/linked", "linked");
      ASSERT_EQ(link((own + "/linked").c_str(), (own + "/sub/linked").c_str()), 0);
    }
  }

  // What must hold once all threads have ended.
  void CheckShared(Shared& shared) {
    std::map<std::string, int> tokens, directories;
    for (int s = 0; s < kShared; ++s) {
      std::string folder = At(fmt::format("s{}", s));
      for (const std::string& name : ListDir(folder)) {
        std::string path = folder;
        path.append("/").append(name);
        if (name.starts_with("t-")) {
          ++tokens[ReadFile(path)];
        } else if (name.starts_with("d-")) {
          ++directories[name];
          EXPECT_EQ(ReadFile(path + "/c/inner"), name);
          EXPECT_EQ(ListDir(path), (std::vector<std::string>{"a", "c"}));
        }
        EXPECT_FALSE(name.starts_with("l-") || name.starts_with("next-")) << name;
        if (name.starts_with("t-")) CheckLinks(path);
      }
    }
    for (int i = 0; i < kTokens; ++i) EXPECT_EQ(tokens[fmt::format("token {}\n", i)], 1) << i;
    EXPECT_EQ(tokens.size(), static_cast<size_t>(kTokens));
    EXPECT_EQ(directories.size(), static_cast<size_t>(kDirTokens));
    for (const auto& [name, count] : directories) EXPECT_EQ(count, 1) << name;
    for (int i = 0; i < kSlots; ++i) {
      std::string path = At(fmt::format("s0/slot-{}", i));
      EXPECT_EQ(Exists(path) ? 1 : 0, shared.slots[i]) << i;
      EXPECT_EQ(Exists(path + ".d") ? 1 : 0, shared.slot_dirs[i]) << i;
    }
    std::string log = ReadFile(At("s2/log"));
    EXPECT_EQ(log.size(), kRecord * (1 + shared.records));
    std::set<std::string> records;
    for (size_t at = 0; at < log.size(); at += kRecord) records.insert(log.substr(at, kRecord));
    EXPECT_EQ(records.size(), 1 + shared.records);
    for (int i = 0; i < kBlocks; ++i) {
      std::string content = ReadFile(At(fmt::format("s2/block-{}", i)));
      ASSERT_EQ(content.size(), kPage * kPages);
      for (size_t at = 0; at < content.size(); at += kPage) {
        uint64_t stamp = 0;
        memcpy(&stamp, &content[at], sizeof stamp);
        EXPECT_TRUE(IsStamp(stamp) && content.substr(at, kPage) == StampedPage(stamp))
            << "block-" << i << " is mixed at " << at;
      }
    }
  }
  void CheckLinks(const std::string& path) {
    int number = atoi(ReadFile(path).c_str() + strlen("token "));
    bool linked = number < kLinked;
    EXPECT_EQ(Stat(path).st_nlink, linked ? 2u : 1u) << path;
    if (!linked) return;
    std::string second = At(fmt::format("links/t-{}", number));
    EXPECT_EQ(Stat(second).st_ino, Stat(path).st_ino) << path;
    EXPECT_EQ(ReadFile(second), ReadFile(path));
  }
};

TEST_P(Load, SixtyFourThreadsLoseNothing) {
  Shared shared;
  shared.root = work().path();
  for (int i = 0; i < kSlots; ++i) shared.slots[i] = shared.slot_dirs[i] = 1 - i % 2;
  std::vector<std::unique_ptr<Worker>> workers;
  workers.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) workers.push_back(std::make_unique<Worker>(shared, i));
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (auto& worker : workers) threads.emplace_back([&worker] { worker->Run(); });
    auto end = std::chrono::steady_clock::now() + Duration();
    while (std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
      // Names and inodes are then forgotten under way. (Needs root; the test goes on without.)
      UniqueFd caches(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
      if (caches) {
        EXPECT_EQ(write(caches.get(), "2", 1), 1);
      }
    }
    shared.stop = true;
  }
  shared.complaints.Report();
  RecordProperty("operations", std::to_string(shared.operations));
  EXPECT_GT(shared.operations, static_cast<uint64_t>(kThreads));
  CheckShared(shared);
  std::string before = TreeText(work().path());
  work().Remount();
  EXPECT_EQ(TreeText(work().path()), before);
  CheckShared(shared);
  for (auto& worker : workers) worker->CheckOwn();
  shared.complaints.Report();
}
VENEER_OVER_EACH_KIND(Load);

}  // namespace
}  // namespace veneer::fs::testing
