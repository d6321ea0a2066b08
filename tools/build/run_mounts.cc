#include "tools/build/run_mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "store/base/beneath.h"
#include "store/step_layer.h"
#include "tools/build/copy/copy_step.h"
#include "tools/build/copy/source_tree.h"
#include "tools/build/language/text.h"
#include "tools/build/run/program.h"
#include "tools/build/run/root_path.h"

namespace veneer::build {
namespace {

constexpr const char* kSecretFolder = "/run/secrets/";
constexpr const char* kAgentPath = "/run/buildkit/ssh_agent.";
constexpr mode_t kSecretMode = 0400, kAgentMode = 0600, kCacheMode = 0755;

std::string TargetOf(const RunMount& mount, const std::string& working_dir, size_t number) {
  std::string target = mount.target;
  if (target.empty() && mount.type == MountType::kSecret) {
    if (mount.env) return "";
    target = kSecretFolder + mount.id.substr(mount.id.rfind('/') + 1);
  }
  if (target.empty() && mount.type == MountType::kSsh) target = kAgentPath + std::to_string(number);
  return CleanPath(target.starts_with('/') ? target : working_dir + "/" + target);
}

CacheMount::Sharing SharingOf(CacheSharing sharing) {
  switch (sharing) {
    case CacheSharing::kPrivate:
      return CacheMount::Sharing::kPrivate;
    case CacheSharing::kLocked:
      return CacheMount::Sharing::kLocked;
    case CacheSharing::kShared:
      break;
  }
  return CacheMount::Sharing::kShared;
}

// What is at `path` of the chain, whatever its times are.
Result<Digest> ContentOf(LayerCache& cache, std::span<const DiffId> chain,
                         const std::string& path) {
  TRY_ASSIGN(auto tree, cache.Tree(chain));
  const auto source = OpenChainSource(cache.store(), std::move(tree));
  CopySpec spec;
  spec.from = source.get();
  spec.sources = {path.empty() ? "/" : path};
  spec.literal = true;
  spec.destination = "/content/";
  spec.link = true;
  TRY_ASSIGN(const auto copy, CopyStep::Prepare(cache.store(), std::move(spec), nullptr));
  return copy->Key();
}

// Where `path` of the mounted tree is on the host. Symlinks are followed in the tree.
Result<std::string> PathIn(const std::string& root, const std::string& path) {
  TRY_ASSIGN(const UniqueFd directory, OpenAt(AT_FDCWD, root, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(const UniqueFd found, OpenInRoot(directory.get(), path.empty() ? "/" : path, O_PATH));
  char real[PATH_MAX];
  const ssize_t n = readlink(FdPath(found.get()).c_str(), real, sizeof real);
  if (n <= 0 || n == sizeof real) return Errno("readlink");
  return std::string(real, static_cast<size_t>(n));
}

}  // namespace

std::string CacheIdOf(const std::string& name_space, const std::string& id) {
  return name_space.empty() ? id : fmt::format("ns:{}:{}/{}", name_space.size(), name_space, id);
}

Result<MemoryMount> MemoryMount::At(const std::string& directory) {
  if (mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") !=
      0) {
    return Errno("mount a tmpfs");
  }
  return MemoryMount(directory);
}

MemoryMount::~MemoryMount() {
  if (!path_.empty()) umount2(path_.c_str(), MNT_DETACH);
}

Result<RunMounts> RunMounts::Describe(BuildSession& session, LayerCache& cache,
                                      const std::string& working_dir,
                                      std::span<const RunMount> mounts,
                                      std::span<const StageSource> sources,
                                      const SourceChain& chain_of) {
  RunMounts out(session, cache);
  size_t agents = 0;
  for (size_t i = 0; i < mounts.size(); ++i) {
    Planned planned;
    planned.mount = mounts[i];
    RunMount& mount = planned.mount;
    planned.target = TargetOf(mount, working_dir, agents);
    agents += mount.type == MountType::kSsh ? 1 : 0;
    if (mount.type == MountType::kCache) {
      mount.id = CacheIdOf(session.settings().cache_namespace,
                           mount.id.empty() ? planned.target : mount.id);
    }
    const bool has_files =
        mount.type == MountType::kBind || (mount.type == MountType::kCache && !mount.from.empty());
    if (has_files) {
      TRY_ASSIGN(planned.files, chain_of(sources[i], mount.source));
      TRY_ASSIGN(planned.content, ContentOf(cache, planned.files->layers, planned.files->path));
      // Another beginning is another cache.
      if (mount.type == MountType::kCache) mount.id += "@" + planned.content->ToString();
    }
    out.planned_.push_back(std::move(planned));
  }
  return out;
}

void RunMounts::AddTo(StepKey& key) const {
  key.AddNumber(static_cast<int64_t>(planned_.size()));
  for (const Planned& planned : planned_) {
    const RunMount& mount = planned.mount;
    key.AddNumber(static_cast<int64_t>(mount.type)).Add(planned.target).Add(mount.source);
    key.Add(mount.id).AddNumber(mount.read_only ? 1 : 0).AddNumber(mount.size_limit);
    key.AddNumber(mount.required ? 1 : 0).Add(mount.env.value_or("")).AddNumber(mount.env ? 1 : 0);
    for (const auto& number : {mount.mode, mount.uid, mount.gid})
      key.AddOptional(number ? std::optional<int64_t>(*number) : std::nullopt);
    key.Add(planned.content ? planned.content->view() : std::string_view());
  }
}

Result<> RunMounts::Make(RunSpec& spec) {
  TRY(OpenCaches());
  for (const Planned& planned : planned_) {
    switch (planned.mount.type) {
      case MountType::kBind:
        TRY(MakeBind(planned, spec));
        break;
      case MountType::kCache:
        spec.mounts.push_back({StepMount::Kind::kBind, caches_.at(planned.mount.id).path(),
                               planned.target, planned.mount.read_only, 0});
        break;
      case MountType::kTmpfs:
        spec.mounts.push_back({StepMount::Kind::kTmpfs, "", planned.target, false,
                               static_cast<uint64_t>(planned.mount.size_limit)});
        break;
      case MountType::kSecret:
        TRY(MakeSecret(planned, spec));
        break;
      case MountType::kSsh:
        TRY(MakeSsh(planned, spec));
        break;
    }
  }
  return {};
}

// The source's path where its chain is mounted. What is written there is thrown away.
Result<std::string> RunMounts::MountedSource(const Planned& planned, bool writable) {
  TRY_ASSIGN(const std::string target, session_->NewFolder("source"));
  std::string upper, work;
  if (writable) {
    TRY_ASSIGN(const std::string folder, session_->NewFolder("writes"));
    upper = folder + "/upper";
    work = folder + "/work";
    TRY(EnsureDir(AT_FDCWD, upper, 0755));
    TRY(EnsureDir(AT_FDCWD, work, 0700));
  }
  TRY_ASSIGN(ChainMount mount,
             ChainMount::Mount(cache_->store(), planned.files->layers, upper, work, target));
  mounts_.push_back(std::move(mount));
  auto path = PathIn(target, planned.files->path);
  if (path) return path;
  return Invalid(fmt::format("failed to mount \"{}\" at {}: {}", planned.mount.source,
                             planned.target, strerror(path.error().code())),
                 path.error().code());
}

Result<> RunMounts::MakeBind(const Planned& planned, RunSpec& spec) {
  TRY_ASSIGN(std::string path, MountedSource(planned, !planned.mount.read_only));
  spec.mounts.push_back(
      {StepMount::Kind::kBind, std::move(path), planned.target, planned.mount.read_only, 0});
  return {};
}

// Each cache once, by the strictest of the ways in which its mounts share it, and in the order of
// their ids: whoever waits for a locked one holds none that comes after it.
Result<> RunMounts::OpenCaches() {
  std::map<std::string, const Planned*> first;
  std::map<std::string, CacheSharing> sharing;
  for (const Planned& planned : planned_) {
    if (planned.mount.type != MountType::kCache) continue;
    first.emplace(planned.mount.id, &planned);
    const CacheSharing wanted = planned.mount.sharing.value_or(CacheSharing::kShared);
    CacheSharing& so_far = sharing.emplace(planned.mount.id, wanted).first->second;
    so_far = std::max(so_far, wanted);
  }
  for (const auto& [id, planned] : first) {
    const auto fill = [this, source = planned](const std::string& path) {
      return FillCache(*source, path);
    };
    TRY_ASSIGN(CacheMount cache, CacheMount::Open(cache_->store(), id, SharingOf(sharing.at(id)),
                                                  fill, [this] { return session_->cancelled(); }));
    caches_.emplace(id, std::move(cache));
  }
  return {};
}

Result<> RunMounts::FillCache(const Planned& planned, const std::string& path) {
  const RunMount& mount = planned.mount;
  if (planned.files) {
    TRY_ASSIGN(const std::string source, MountedSource(planned, false));
    TRY(RunQuietly({"cp", "-a", "--reflink=auto", "--", source + "/.", path},
                   {.cancelled = [this] { return session_->cancelled(); }}));
  }
  if (chown(path.c_str(), mount.uid.value_or(0), mount.gid.value_or(0)) != 0 ||
      chmod(path.c_str(), mount.mode.value_or(kCacheMode)) != 0) {
    return Errno("owner and mode of a cache mount");
  }
  return {};
}

// Secrets stand in memory alone.
Result<std::string> RunMounts::MemoryFolder() {
  if (!memory_) {
    TRY_ASSIGN(const std::string folder, session_->NewFolder("memory"));
    TRY_ASSIGN(MemoryMount mounted, MemoryMount::At(folder));
    memory_.emplace(std::move(mounted));
  }
  return memory_->path();
}

Result<> RunMounts::MakeSecret(const Planned& planned, RunSpec& spec) {
  const RunMount& mount = planned.mount;
  const auto found = session_->settings().secrets.find(mount.id);
  if (found == session_->settings().secrets.end()) {
    if (!mount.required) return {};
    return Invalid("secret " + mount.id + ": not found", ENOENT);
  }
  const std::string& content = found->second.content;
  if (mount.env) {
    const std::string name = mount.env->empty() ? mount.id : *mount.env;
    spec.env.push_back(name + "=" + content);
    // The runtime reads its environment from a file.
    TRY_ASSIGN(const std::string folder, MemoryFolder());
    spec.scratch = folder + "/run";
    TRY(EnsureDir(AT_FDCWD, spec.scratch, 0700));
  }
  if (planned.target.empty()) return {};
  TRY_ASSIGN(const std::string folder, MemoryFolder());
  const std::string path = folder + "/" + std::to_string(files_++);
  TRY_ASSIGN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  TRY(WriteAll(file.get(), content));
  if (fchown(file.get(), mount.uid.value_or(0), mount.gid.value_or(0)) != 0 ||
      fchmod(file.get(), mount.mode.value_or(kSecretMode)) != 0) {
    return Errno("owner and mode of secret " + mount.id);
  }
  spec.mounts.push_back({StepMount::Kind::kBind, path, planned.target, true, 0});
  return {};
}

Result<> RunMounts::MakeSsh(const Planned& planned, RunSpec& spec) {
  const RunMount& mount = planned.mount;
  const std::string id = mount.id.empty() ? "default" : mount.id;
  const auto found = session_->settings().agents.find(id);
  if (found == session_->settings().agents.end()) {
    if (!mount.required) return {};
    return Invalid("unset ssh forward key " + id, ENOENT);
  }
  TRY_ASSIGN(const std::string folder, MemoryFolder());
  const std::string path = folder + "/" + std::to_string(files_++);
  TRY_ASSIGN(auto agent,
             AgentProxy::Start(path, found->second.socket, mount.mode.value_or(kAgentMode),
                               mount.uid.value_or(0), mount.gid.value_or(0)));
  agents_.push_back(std::move(agent));
  spec.mounts.push_back({StepMount::Kind::kBind, path, planned.target, false, 0});
  const bool told = std::ranges::any_of(
      spec.env, [](const std::string& e) { return e.starts_with("SSH_AUTH_SOCK="); });
  if (!told) spec.env.push_back("SSH_AUTH_SOCK=" + planned.target);
  return {};
}

}  // namespace veneer::build
