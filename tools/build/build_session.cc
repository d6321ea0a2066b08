#include "tools/build/build_session.h"

#include <fcntl.h>

#include "store/base/beneath.h"
#include "store/image_reference.h"
#include "tools/build/isolation.h"
#include "tools/build/language/text.h"

namespace veneer::build {

const NamedContext* FindContext(const std::map<std::string, NamedContext>& contexts,
                                const std::string& name) {
  if (const auto found = contexts.find(ToLower(name)); found != contexts.end())
    return &found->second;
  const Result<ImageReference> wanted = ImageReference::Parse(ToLower(name));
  if (!wanted) return nullptr;
  for (const auto& [given, context] : contexts) {
    const Result<ImageReference> reference = ImageReference::Parse(given);
    if (reference && *reference == *wanted) return &context;
  }
  return nullptr;
}

bool UsesCache(const BuildSettings& settings, std::string_view stage) {
  return !settings.no_cache && !settings.no_cache_stages.contains(ToLower(stage));
}

Result<std::unique_ptr<BuildSession>> BuildSession::Create(
    std::string store_root, std::string scratch, BuildSettings settings, const std::string& context,
    const IgnoreMatcher* ignore, BuildLog& log) {
  std::unique_ptr<BuildSession> session(
      new BuildSession(std::move(store_root), std::move(scratch), std::move(settings), log));
  if (!context.empty()) {
    TRY_ASSIGN(session->context_, OpenDirectorySource(context, ignore));
  }
  return session;
}

Result<std::string> BuildSession::NewFolder(const std::string& purpose) {
  std::string path = scratch_ + "/" + purpose + "-" + std::to_string(folders_.fetch_add(1));
  TRY(EnsureDir(AT_FDCWD, path, 0700));
  return path;
}

bool BuildSession::cancelled() const { return cancelled_ || WasInterrupted(); }

Result<const OciRuntime*> BuildSession::Runtime() {
  MutexLock lock(runtime_mu_);
  if (!runtime_) {
    TRY_ASSIGN(const std::string folder, NewFolder("runtime"));
    TRY_ASSIGN(OciRuntime found, OciRuntime::Find(folder));
    runtime_ = std::move(found);
  }
  return &*runtime_;
}

}  // namespace veneer::build
