#include "tests/fs/work_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <thread>

#include "fs/control.h"
#include "store/base/beneath.h"
#include "store/base/digest.h"
#include "store/tree/chain_builder.h"
#include "store/tree/layer_tree.h"
#include "store/tree/layer_tree_builder.h"
#include "store/tree/merged_tree.h"

namespace veneer::fs::testing {

namespace {

// Mounts of this process's own. Whoever makes himself a namespace meanwhile, as tests beside this
// one do, would else take a copy of our mounts along, and their daemons would outlive us.
const UniqueFd namespace_before(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
const bool own_namespace =
    unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0;

template <typename T>
T Must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().Message();
    std::abort();
  }
  return std::move(*result);
}
void Must(Result<> result) {
  if (!result) ADD_FAILURE() << result.error().Message();
}

std::vector<std::pair<std::string, std::string>> Xattrs(const std::string& path) {
  std::vector<std::pair<std::string, std::string>> found;
  ssize_t n = llistxattr(path.c_str(), nullptr, 0);
  if (n <= 0) return found;
  std::string list(65536, '\0');
  n = llistxattr(path.c_str(), list.data(), list.size());
  for (ssize_t at = 0; at < n;) {
    std::string name = list.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    std::string value(65536, '\0');
    ssize_t size = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (size < 0) continue;
    value.resize(static_cast<size_t>(size));
    found.emplace_back(name, value);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string LinkTarget(const std::string& path) {
  std::string target(4096, '\0');
  ssize_t n = readlink(path.c_str(), target.data(), target.size());
  EXPECT_GE(n, 0) << path << ": " << strerror(errno);
  target.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return target;
}

// Writes all but the blocks of zeros, as the store does.
void WriteSparse(const std::string& path, const std::string& content) {
  constexpr size_t kBlock = 4096;
  UniqueFd fd = OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0444);
  for (size_t at = 0; at < content.size(); at += kBlock) {
    std::string_view block = std::string_view(content).substr(at, kBlock);
    if (block.find_first_not_of('\0') != block.npos) Must(PwriteAll(fd.get(), block, at));
  }
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(content.size())), 0);
}

template <typename Condition>
bool Await(Condition condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// The daemon behind the mount at `path`: the veneerfs whose last argument it is.
pid_t DaemonOf(const std::string& path) {
  for (const std::string& name : ListDir("/proc")) {
    if (!isdigit(static_cast<unsigned char>(name[0]))) continue;
    std::ifstream file("/proc/" + name + "/cmdline");
    std::string line;
    std::getline(file, line);  // of a process that has ended by now: nothing
    if (line.find("veneerfs") != line.npos && line.ends_with(path + '\0')) return std::stoi(name);
  }
  return -1;
}

bool Alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  size_t state = text.rfind(')');
  return state != text.npos && text[state + 2] != 'Z';
}

}  // namespace

int MountNamespaceOutside() { return namespace_before.get(); }

std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  switch (info.param) {
    case Kind::kPlain:
      return "Plain";
    case Kind::kStack:
      return "Stack";
    case Kind::kChain:
      return "Chain";
  }
  return "";
}

Scratch::Scratch() {
  std::string pattern = "/tmp/veneer-fs-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
  chmod(path_.c_str(), 0755);  // tests act as other users too
}

Scratch::~Scratch() {
  auto removed = RemoveTree(AT_FDCWD, path_);
  EXPECT_TRUE(removed) << removed.error().Message();
}

void WriteFile(const std::string& path, const std::string& content, mode_t mode) {
  UniqueFd fd = OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  Must(WriteAll(fd.get(), content));
}

void AppendFile(const std::string& path, const std::string& content) {
  UniqueFd fd = OpenFile(path, O_WRONLY | O_APPEND);
  Must(WriteAll(fd.get(), content));
}

std::string ReadFile(const std::string& path) {
  UniqueFd fd = OpenFile(path, O_RDONLY);
  return ReadFd(fd.get());
}

void MakeDirs(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  EXPECT_FALSE(error) << path << ": " << error.message();
}

struct stat Stat(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(lstat(path.c_str(), &st), 0) << path << ": " << strerror(errno);
  return st;
}

bool Exists(const std::string& path) {
  struct stat st = {};
  return lstat(path.c_str(), &st) == 0;
}

UniqueFd OpenFile(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  EXPECT_TRUE(fd) << path << ": " << strerror(errno);
  return fd;
}

std::string ReadFd(int fd) {
  std::string content;
  std::string buffer(1 << 16, '\0');
  for (uint64_t offset = 0;;) {
    size_t n = Must(PreadUpTo(fd, buffer.data(), buffer.size(), offset));
    if (n == 0) return content;
    content.append(buffer, 0, n);
    offset += n;
  }
}

std::vector<std::string> ListDir(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path.c_str());
  EXPECT_NE(dir, nullptr) << path << ": " << strerror(errno);
  if (dir == nullptr) return names;
  while (struct dirent* entry = readdir(dir)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

std::string Xattr(const std::string& path, const std::string& name) {
  std::string value(65536, '\0');
  ssize_t n = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
  value.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return value;
}

std::string TreeText(const std::string& root, bool times) {
  std::ostringstream out;
  std::map<ino_t, std::string> first_name;  // of files with several
  std::function<void(const std::string&)> walk = [&](const std::string& relative) {
    std::string path = root + relative;
    struct stat st = Stat(path);
    out << (relative.empty() ? "/" : relative) << " mode=" << std::oct << st.st_mode << std::dec
        << " owner=" << st.st_uid << ":" << st.st_gid;
    if (times && !relative.empty()) {
      out << " mtime=" << st.st_mtim.tv_sec << "." << st.st_mtim.tv_nsec;
    }
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
      out << " dev=" << major(st.st_rdev) << ":" << minor(st.st_rdev);
    }
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      auto [it, fresh] = first_name.emplace(st.st_ino, relative);
      out << " links=" << st.st_nlink << (fresh ? "" : " same-as=" + it->second);
    }
    if (S_ISLNK(st.st_mode)) out << " -> " << LinkTarget(path);
    if (S_ISREG(st.st_mode)) {
      out << " size=" << st.st_size << " sha256=" << Digest::Of(ReadFile(path)).Hex();
    }
    for (const auto& [name, value] : Xattrs(path)) {
      out << " " << name << "=" << Digest::Of(value).Hex().substr(0, 16);
    }
    out << "\n";
    if (!S_ISDIR(st.st_mode)) return;
    for (const std::string& name : ListDir(path)) {
      std::string below = relative;
      walk(below.append("/").append(name));
    }
  };
  walk("");
  return out.str();
}

RunResult RunVeneerfs(const std::vector<std::string>& args, const std::string& faults,
                      rlim_t descriptors) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  std::string program = VENEER_BIN "/veneerfs";
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    if (!faults.empty()) setenv("VENEER_FAULTS", faults.c_str(), 1);
    const struct rlimit limit = {descriptors, descriptors};
    if (descriptors != 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(126);
    std::vector<char*> argv = {program.data()};
    std::vector<std::string> copy = args;
    for (std::string& arg : copy) argv.push_back(arg.data());
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  close(ends[1]);
  RunResult result;
  waitpid(child, &result.status, 0);
  // The daemon has let go of the pipe when its parent ends; a fault point may still hold it, so
  // only what is there.
  char buffer[4096];
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    result.error.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  return result;
}

namespace {

// The layer that `source` is, its objects in `store`.
std::unique_ptr<tree::LayerTree> MakeLayer(const std::string& source, const std::string& store,
                                           int store_fd) {
  auto builder = Must(tree::LayerTreeBuilder::Create(store_fd));
  std::map<ino_t, std::string> linked;
  std::function<void(const std::string&)> add = [&](const std::string& relative) {
    std::string path = source + "/" + relative;
    struct stat st = Stat(path);
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      auto [it, fresh] = linked.emplace(st.st_ino, relative);
      if (!fresh) {
        Must(builder->AddHardLink(relative, it->second));
        return;
      }
    }
    tree::Attributes attr;
    attr.mode = st.st_mode;
    attr.uid = st.st_uid;
    attr.gid = st.st_gid;
    attr.mtime_sec = st.st_mtim.tv_sec;
    attr.mtime_nsec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
    attr.rdev_major = major(st.st_rdev);
    attr.rdev_minor = minor(st.st_rdev);
    ObjectId object;
    std::string target;
    if (S_ISLNK(st.st_mode)) {
      target = LinkTarget(path);
      attr.size = target.size();
    }
    if (S_ISREG(st.st_mode)) {
      attr.size = static_cast<uint64_t>(st.st_size);
      std::string content = ReadFile(path);
      if (!content.empty()) {
        object = ObjectId(Digest::Of(content));
        std::string hex = object.Hex();
        MakeDirs(store + "/objects/" + hex.substr(0, 2));
        WriteSparse(store + "/objects/" + hex.substr(0, 2) + "/" + hex.substr(2), content);
      }
    }
    std::vector<tree::Xattr> xattrs;
    for (const auto& [name, value] : Xattrs(path)) xattrs.push_back({name, value});
    Must(builder->Add(relative, attr, object, target, xattrs));
    if (!S_ISDIR(st.st_mode)) return;
    for (const std::string& name : ListDir(path)) {
      std::string dir = relative.empty() ? "" : relative + "/";
      if (name == ".wh..wh..opq") {
        Must(builder->SetOpaque(relative));
      } else if (name.starts_with(".wh.")) {
        Must(builder->AddWhiteout(dir + name.substr(4)));
      } else {
        add(dir + name);
      }
    }
  };
  add("");
  UniqueFd layer_file(open(store.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  Must(builder->Finish(layer_file.get()));
  return Must(tree::LayerTree::Open(layer_file.get()));
}

}  // namespace

std::string MakeChain(const std::vector<std::string>& sources, const std::string& store,
                      bool one_by_one) {
  MakeDirs(store + "/objects");
  UniqueFd dir = OpenFile(store, O_RDONLY | O_DIRECTORY);
  std::vector<std::unique_ptr<tree::LayerTree>> layers;
  std::vector<const tree::LayerTree*> pointers;
  for (const std::string& source : sources) {
    layers.push_back(MakeLayer(source, store, dir.get()));
    pointers.push_back(layers.back().get());
  }
  ChainId chain(Digest::Of(one_by_one ? sources.front() : sources.back()));
  std::string path = store + "/" + chain.Hex();
  UniqueFd file = OpenFile(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  std::span<const tree::LayerTree* const> first(pointers);
  if (one_by_one) first = first.first(1);
  Must(tree::BuildBase(first, chain, dir.get(), file.get()));
  for (size_t i = first.size(); i < pointers.size(); ++i) {
    auto parent = Must(tree::MergedTree::Open(dir.get(), chain.Hex()));
    ChainId next(Digest::Of(sources[i]));
    path = store + "/" + next.Hex();
    file = OpenFile(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    Must(tree::BuildNext(*parent, chain, *pointers[i], next, dir.get(), file.get()));
    chain = next;
  }
  return path;
}
WorkDir::WorkDir(Setup setup) : setup_(std::move(setup)) {
  EXPECT_TRUE(own_namespace || geteuid() != 0);
  layers_ = {scratch_ / "lower"};
  MakeDirs(layers_.back());
  if (setup_.populate) setup_.populate(layers_.back());
  for (const auto& populate : setup_.above) {
    if (setup_.kind != Kind::kPlain) {
      layers_.push_back(scratch_ / ("lower" + std::to_string(layers_.size())));
      MakeDirs(layers_.back());
    }
    populate(layers_.back());
  }
  if (setup_.kind == Kind::kPlain) {
    path_ = layers_.back();
    return;
  }
  path_ = scratch_ / "mnt";
  for (const char* name : {"mnt", "upper", "work"}) MakeDirs(scratch_ / name);
  // The root of a directory stack has its upper's attributes.
  EXPECT_EQ(chmod(upper().c_str(), Stat(layers_.back()).st_mode & 07777), 0);
  if (setup_.kind == Kind::kChain) chain_ = MakeChain(layers_, scratch_ / "store");
  if (setup_.mounted) Mount();
}

WorkDir::~WorkDir() {
  if (mounted()) Unmount();
}

std::string WorkDir::lower() const {
  return setup_.kind == Kind::kChain ? scratch_ / "store" : scratch_ / "lower";
}

std::string WorkDir::LowerText() const {
  if (setup_.kind == Kind::kChain) return TreeText(lower());
  std::string text;
  for (const std::string& layer : layers_) text += TreeText(layer);
  return text;
}

std::string WorkDir::lowerdirs() const {
  std::string dirs;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    dirs.append(dirs.empty() ? "" : ":").append(*layer);
  }
  return dirs;
}

std::string WorkDir::mount_options() const {
  std::string options = setup_.kind == Kind::kChain
                            ? "chain=" + chain_ + ",objects=" + (scratch_ / "store/objects")
                            : "lowerdir=" + lowerdirs();
  if (!setup_.read_only) options += ",upperdir=" + upper() + ",workdir=" + work();
  options += ",log=" + (scratch_ / "log");
  if (!setup_.host_rules) options += ",uring";  // this process's namespace outlives its daemons
  if (!setup_.options.empty()) options += "," + setup_.options;
  return options;
}

void WorkDir::Mount(const std::string& faults) {
  std::vector<std::string> args = setup_.arguments;
  args.insert(args.end(), {"-o", mount_options(), path_});
  RunResult result = RunVeneerfs(args, faults, setup_.descriptors);
  ASSERT_EQ(result.status, 0) << result.error;
  pid_ = DaemonOf(path_);
  ASSERT_GT(pid_, 0);
}

void WorkDir::Detach() {
  umount2(path_.c_str(), MNT_DETACH);
  pid_ = -1;
}

void WorkDir::Unmount() {
  if (!mounted()) return;
  pid_t pid = pid_;
  if (UniqueFd root(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); root) {
    control::Stats stats = {};
    EXPECT_EQ(ioctl(root.get(), control::kStats, &stats), 0);
    EXPECT_EQ(stats.mode_violations, 0u) << "of the open modes' invariant: see the daemon's log";
  }
  if (umount2(path_.c_str(), 0) != 0) {
    ADD_FAILURE() << "umount: " << strerror(errno);
    Detach();
    kill(pid, SIGKILL);
    return;
  }
  pid_ = -1;
  EXPECT_TRUE(Await([&] { return !Alive(pid); })) << "the daemon outlives its mount";
}

void WorkDir::Remount() {
  if (setup_.kind == Kind::kPlain) return;
  Unmount();
  Mount();
}

void WorkDir::Kill() {
  kill(pid_, SIGKILL);
  AwaitDeath();
}

void WorkDir::AwaitDeath() {
  pid_t pid = pid_;
  EXPECT_TRUE(Await([&] { return !Alive(pid); })) << "the daemon is alive";
  Detach();
}

void OverEachKind::SetUp() {
  work_ = std::make_unique<WorkDir>(
      WorkDir::Setup{.kind = GetParam(),
                     .populate = [this](const std::string& dir) { Populate(dir); },
                     .options = Options(),
                     .arguments = {},
                     .read_only = false});
}

}  // namespace veneer::fs::testing
