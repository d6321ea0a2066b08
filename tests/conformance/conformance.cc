#include "tests/conformance/conformance.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/conformance/engine_file_system.h"
#include "tests/conformance/kernel_file_system.h"

namespace veneer::fs::conformance {

using testing::WorkDir;

namespace {

template <typename T>
void Expect(const Result<T>& result, const std::string& path) {
  EXPECT_TRUE(result) << path << ": " << result.error().Message();
}

}  // namespace

std::vector<Conformance::Fill> Conformance::Layers() {
  return {[this](const std::string& dir) { Populate(dir); }};
}

void Conformance::SetUp() {
  const BackEnd& back_end = GetParam();
  std::vector<Fill> layers = Layers();
  WorkDir::Setup setup;
  setup.kind = back_end.kind;
  setup.populate = layers.front();
  setup.above.assign(layers.begin() + 1, layers.end());
  setup.options = back_end.options;
  setup.arguments = back_end.arguments;
  setup.mounted = !back_end.in_process;
  setup.read_only = ReadOnly();
  work_ = std::make_unique<WorkDir>(std::move(setup));
  if (!oracle()) lower_ = work_->LowerText();
  if (back_end.in_process) {
    auto made = MakeEngineFileSystem(work_->mount_options());
    ASSERT_TRUE(made) << made.error().Message();
    fs_ = std::move(*made);
    return;
  }
  std::function<Result<>()> remount;
  if (!oracle()) {
    remount = [this]() -> Result<> {
      work_->Remount();
      return {};
    };
  }
  if (oracle() && ReadOnly()) {
    const char* path = work_->path().c_str();
    ASSERT_EQ(mount(path, path, nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(mount(nullptr, path, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  }
  fs_ = MakeKernelFileSystem(work_->path(), remount);
}

void Conformance::TearDown() {
  if (in_process() && fs_) {
    EXPECT_EQ(Statistics().handles, 0u) << "handles are left open";
  }
  fs_.reset();
  if (oracle()) {
    EXPECT_TRUE(!ReadOnly() || umount2(work_->path().c_str(), 0) == 0);
  } else {
    work_->Unmount();
    EXPECT_EQ(work_->LowerText(), lower_) << "the lower has changed";
    EXPECT_TRUE(ReadOnly() || testing::ListDir(work_->work() + "/work").empty());
  }
  work_.reset();
}

std::string Conformance::Read(File& file) {
  std::string all;
  for (;;) {
    auto part = file.Read(1 << 18, all.size());
    Expect(part, "read");
    if (!part || part->empty()) return all;
    all += *part;
  }
}

std::string Conformance::Read(const std::string& path) {
  FilePtr file = Open(path, O_RDONLY);
  return file ? Read(*file) : "";
}

void Conformance::Write(const std::string& path, std::string_view content, mode_t mode) {
  FilePtr file = Open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!file) return;
  auto n = file->Write(content, 0);
  Expect(n, path);
  EXPECT_EQ(n.value_or(0), content.size()) << path;
}

void Conformance::Append(const std::string& path, std::string_view content) {
  FilePtr file = Open(path, O_WRONLY | O_APPEND);
  if (!file) return;
  auto n = file->Write(content, 0);
  Expect(n, path);
  EXPECT_EQ(n.value_or(0), content.size()) << path;
}

FilePtr Conformance::Open(const std::string& path, int flags, mode_t mode) {
  auto file = fs_->Open(path, flags, mode);
  Expect(file, path);
  return file ? std::move(*file) : nullptr;
}

struct stat Conformance::Stat(const std::string& path) {
  auto st = fs_->Stat(path);
  Expect(st, path);
  struct stat none = {};
  return st ? *st : none;
}

bool Conformance::Exists(const std::string& path) {
  auto st = fs_->Stat(path);
  EXPECT_TRUE(st || Code(st) == ENOENT) << path << ": " << st.error().Message();
  return st.has_value();
}

std::vector<DirItem> Conformance::Items(const std::string& path) {
  std::vector<DirItem> items;
  auto dir = fs_->OpenDir(path);
  Expect(dir, path);
  if (!dir) return items;
  for (;;) {
    auto item = (*dir)->Next();
    Expect(item, path);
    if (!item || !*item) return items;
    items.push_back(std::move(**item));
  }
}

std::vector<std::string> Conformance::List(const std::string& path) {
  std::vector<std::string> names;
  for (DirItem& item : Items(path)) {
    if (item.name != "." && item.name != "..") names.push_back(std::move(item.name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Conformance::Xattr(const std::string& path, const std::string& name) {
  return fs_->GetXattr(path, name).value_or("");
}

void Conformance::RemoveAll(const std::string& path) {
  for (const std::string& name : List(path)) {
    std::string below = path;
    below.append("/").append(name);
    if (S_ISDIR(Stat(below).st_mode)) {
      RemoveAll(below);
    } else {
      Expect(fs_->Unlink(below), below);
    }
  }
  Expect(fs_->RemoveDir(path), path);
}

void Conformance::Remount() { Expect(fs_->Remount(), "remount"); }

control::Stats Conformance::Statistics() {
  auto stats = fs_->Statistics();
  Expect(stats, "statistics");
  return stats.value_or(control::Stats());
}

int KernelConformance::AsUser(uid_t user, const std::function<int()>& body) {
  pid_t child = fork();
  if (child == 0) {
    umask(022);
    if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(99);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace veneer::fs::conformance
