// RUN --mount: what each of a step's mounts is, for the cache's key and for the runtime.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "store/base/result.h"
#include "store/build_cache.h"
#include "tools/build/build_session.h"
#include "tools/build/cache/layer_cache.h"
#include "tools/build/cache/step_key.h"
#include "tools/build/language/run_mount.h"
#include "tools/build/run/agent_proxy.h"
#include "tools/build/run/chain_mount.h"
#include "tools/build/run/run_step.h"

namespace veneer::build {

// Where a mount's files come from: the layers of a chain, and the path in it.
struct MountSource {
  std::vector<DiffId> layers;
  std::string path;
};
using SourceChain =
    std::function<Result<MountSource>(const StageSource& source, const std::string& path)>;

// The id by which the store keeps a cache mount, of those in `name_space` (empty: in none). Names
// that are not empty have no id in common.
std::string CacheIdOf(const std::string& name_space, const std::string& id);

// A tmpfs, until it goes.
class MemoryMount {
 public:
  static Result<MemoryMount> At(const std::string& directory);
  MemoryMount(MemoryMount&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  MemoryMount& operator=(MemoryMount&&) = delete;
  ~MemoryMount();
  const std::string& path() const { return path_; }

 private:
  explicit MemoryMount(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The mounts of one RUN. First described, for the key; then made, when it has to run. What was
// made lives as long as this.
class RunMounts {
 public:
  // `mounts` and `sources` are the instruction's; `chain_of` gives the chain of each source (of the
  // build context: with what is at `path`).
  static Result<RunMounts> Describe(BuildSession& session, LayerCache& cache,
                                    const std::string& working_dir,
                                    std::span<const RunMount> mounts,
                                    std::span<const StageSource> sources,
                                    const SourceChain& chain_of);
  RunMounts(RunMounts&&) = default;

  void AddTo(StepKey& key) const;

  // Mounts, makes and copies; what the runtime is to mount and the variables to set are added to
  // `spec`. Errors are BuildKit's: "secret x: not found", …
  Result<> Make(RunSpec& spec);

 private:
  struct Planned {
    RunMount mount;
    std::string target;                // absolute, clean; empty: a secret's variable only
    std::optional<MountSource> files;  // of a bind, or what a cache has first
    std::optional<Digest> content;     // of these
  };

  RunMounts(BuildSession& session, LayerCache& cache) : session_(&session), cache_(&cache) {}
  Result<std::string> MountedSource(const Planned& planned, bool writable);
  Result<> MakeBind(const Planned& planned, RunSpec& spec);
  Result<> OpenCaches();
  Result<> FillCache(const Planned& planned, const std::string& path);
  Result<> MakeSecret(const Planned& planned, RunSpec& spec);
  Result<> MakeSsh(const Planned& planned, RunSpec& spec);
  Result<std::string> MemoryFolder();

  BuildSession* session_;
  LayerCache* cache_;
  std::vector<Planned> planned_;
  std::optional<MemoryMount> memory_;  // for secrets and sockets, when there are any
  std::vector<ChainMount> mounts_;
  std::map<std::string, CacheMount> caches_;  // by id
  std::vector<std::unique_ptr<AgentProxy>> agents_;
  size_t files_ = 0;
};

}  // namespace veneer::build
