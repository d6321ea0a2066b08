// What all steps of one build share: its settings, where it works, and what it was given.
//
// Made before the first step, and unchanged while they run, but for what says otherwise.
// Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/mutex.h"
#include "store/base/result.h"
#include "tools/build/copy/source_tree.h"
#include "tools/build/language/ignore_file.h"
#include "tools/build/language/stage_graph.h"
#include "tools/build/log/build_log.h"
#include "tools/build/run/run_step.h"

namespace veneer::build {

// --secret: a file's or a variable's content.
struct Secret {
  std::string content;
};

// --ssh: the socket of an agent.
struct SshAgent {
  std::string socket;
};

// --build-context: an image, or a directory.
struct NamedContext {
  std::optional<BaseImage> image;
  std::string directory;
  std::shared_ptr<const IgnoreMatcher> ignore;  // of the directory; may be null
};

struct BuildSettings {
  std::map<std::string, Secret> secrets;
  std::map<std::string, SshAgent> agents;
  std::map<std::string, NamedContext> contexts;
  std::vector<std::string> extra_hosts;  // "name:address"
  std::vector<std::string> proxy_env;    // HTTP_PROXY=… and the like: for RUN, in no key
  std::string hostname = "buildkitsandbox";
  std::string cache_namespace;  // BUILDKIT_CACHE_MOUNT_NS: of cache mounts' ids
  std::string network = "default";
  std::vector<Ulimit> ulimits;
  uint64_t shm_size = 0;
  bool allow_insecure = false;
  bool no_cache = false;
  std::set<std::string> no_cache_stages;  // --no-cache-filter, in lower case
  std::optional<int64_t> epoch;           // SOURCE_DATE_EPOCH, seconds
};

// The context called `name` (theirs are in lower case), as it stands or as a canonical image name;
// nullptr: none.
const NamedContext* FindContext(const std::map<std::string, NamedContext>& contexts,
                                const std::string& name);

// Whether a stage may take its steps from the build cache.
bool UsesCache(const BuildSettings& settings, std::string_view stage);

class BuildSession {
 public:
  // `scratch`: a directory of the build's own, on the store's filesystem. `context` (empty: none)
  // is the build context; `ignore` outlives the session.
  static Result<std::unique_ptr<BuildSession>> Create(std::string store_root, std::string scratch,
                                                      BuildSettings settings,
                                                      const std::string& context,
                                                      const IgnoreMatcher* ignore, BuildLog& log);

  const BuildSettings& settings() const { return settings_; }
  const std::string& store_root() const { return store_root_; }
  BuildLog& log() const { return log_; }
  // Nothing where the build has no context.
  const SourceTree* context() const { return context_.get(); }

  // A new directory below the scratch directory, mode 0700.
  Result<std::string> NewFolder(const std::string& purpose);

  // Whether there is no sense in going on: Ctrl-C, or another step failed.
  bool cancelled() const;
  void Cancel() { cancelled_ = true; }

  // Found when the first RUN needs it.
  Result<const OciRuntime*> Runtime();

 private:
  BuildSession(std::string store_root, std::string scratch, BuildSettings settings, BuildLog& log)
      : store_root_(std::move(store_root)),
        scratch_(std::move(scratch)),
        settings_(std::move(settings)),
        log_(log) {}

  const std::string store_root_;
  const std::string scratch_;
  const BuildSettings settings_;
  BuildLog& log_;
  std::unique_ptr<SourceTree> context_;
  std::atomic<bool> cancelled_{false};
  std::atomic<int> folders_{0};
  Mutex runtime_mu_;
  std::optional<OciRuntime> runtime_ GUARDED_BY(runtime_mu_);
};

}  // namespace veneer::build
