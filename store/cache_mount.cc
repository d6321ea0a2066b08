#include "store/cache_mount.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "store/base/beneath.h"
#include "store/base/digest.h"
#include "store/directory.h"
#include "store/disk_usage.h"
#include "store/json.h"
#include "store/lease.h"

namespace veneer {
namespace {

using Sharing = CacheMount::Sharing;

constexpr const char* kFolder = "cache-mounts";
constexpr const char* kChoice = "leases/cache-mounts";
// In a mount's folder.
constexpr const char* kData = "data";
constexpr const char* kFilling = "new";  // becomes kData
constexpr const char* kInfo = "info.json";
constexpr const char* kNewInfo = "info.new";
constexpr size_t kMaxInfo = 16 << 20;
constexpr auto kRetry = std::chrono::milliseconds(50);

Result<> Lock(int fd, int operation) {
  int r;
  do {
    r = flock(fd, operation);
  } while (r != 0 && errno == EINTR);
  if (r != 0) return Errno("lock a cache mount");
  return {};
}

// While it lives nobody else chooses, makes or removes a folder.
Result<UniqueFd> Choosing(int root_fd) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(root_fd, kChoice, O_RDWR | O_CREAT, 0600));
  TRY(Lock(fd.get(), LOCK_EX));
  return fd;
}

// A folder of `cache-mounts/`, its lock taken where it was to be had.
struct Folder {
  enum class Users { kNone, kShared, kExclusive };
  std::string name;
  UniqueFd fd;  // kNone: flocked exclusively, kShared: shared
  Users users = Users::kNone;
  bool filled = false;
};

// REQUIRES: Choosing, as all that takes or changes a folder's lock.
Result<Folder> Take(int root_fd, std::string name) {
  Folder folder;
  TRY_ASSIGN(folder.fd, OpenAt(root_fd, std::string(kFolder) + "/" + name,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  folder.name = std::move(name);
  folder.filled = faccessat(folder.fd.get(), kData, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (flock(folder.fd.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  folder.users = flock(folder.fd.get(), LOCK_SH | LOCK_NB) == 0 ? Folder::Users::kShared
                                                                : Folder::Users::kExclusive;
  return folder;
}

Result<Folder> Make(int root_fd, const std::string& name) {
  std::string path = std::string(kFolder) + "/" + name;
  if (mkdirat(root_fd, path.c_str(), 0700) != 0) return Errno("mkdir " + path);
  return Take(root_fd, name);
}

// "<base>" or "<base>.<number>".
bool IsNameOf(const std::string& name, const std::string& base) {
  if (!name.starts_with(base)) return false;
  std::string_view rest = std::string_view(name).substr(base.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '.' &&
                          rest.find_first_not_of("0123456789", 1) == rest.npos);
}

// The folder to use; nullopt: wait. REQUIRES: Choosing.
Result<std::optional<Folder>> Choose(int root_fd, const std::string& base, Sharing sharing) {
  TRY_ASSIGN(auto names, ListDirectory(root_fd, kFolder));
  std::erase_if(names, [&](const std::string& name) { return !IsNameOf(name, base); });
  std::optional<Folder> unused;
  bool filling = false;
  for (const std::string& name : names) {
    TRY_ASSIGN(Folder folder, Take(root_fd, name));
    switch (folder.users) {
      case Folder::Users::kNone:
        if (!unused) unused = std::move(folder);
        break;
      case Folder::Users::kShared:
        if (sharing == Sharing::kShared) return folder;
        break;
      case Folder::Users::kExclusive:
        filling |= !folder.filled;
        break;
    }
  }
  // Who fills one may be about to share it.
  if (sharing == Sharing::kShared && filling) return std::nullopt;
  if (unused) return unused;
  if (sharing == Sharing::kLocked && !names.empty()) return std::nullopt;
  std::string name = base;
  for (int i = 1; std::find(names.begin(), names.end(), name) != names.end(); ++i) {
    name = base + "." + std::to_string(i);
  }
  TRY_ASSIGN(Folder made, Make(root_fd, name));
  return made;
}

// REQUIRES: `folder` is locked exclusively.
Result<> Fill(const Folder& folder, const std::string& path,
              const std::function<Result<>(const std::string& path)>& fill) {
  TRY(RemoveTree(folder.fd.get(), kFilling));  // of somebody who was killed
  if (mkdirat(folder.fd.get(), kFilling, 0755) != 0) return Errno("mkdir " + path);
  if (fchmodat(folder.fd.get(), kFilling, 0755, 0) != 0) return Errno("chmod " + path);
  if (fill) TRY(fill(path + "/" + kFilling));
  if (renameat(folder.fd.get(), kFilling, folder.fd.get(), kData) != 0) {
    return Errno("rename " + path);
  }
  return {};
}

CacheMountInfo ReadInfo(int folder_fd) {
  CacheMountInfo info;
  auto text = ReadFileAt(folder_fd, kInfo, kMaxInfo);
  if (!text) return info;
  auto json = ParseJson(*text);
  if (!json || !json->is_object()) return info;
  auto number = [&](const char* key) -> int64_t {
    auto it = json->find(key);
    return it != json->end() && it->is_number_integer() ? it->get<int64_t>() : 0;
  };
  auto id = json->find("id");
  if (id != json->end() && id->is_string()) info.id = id->get<std::string>();
  info.created_at = number("created_at");
  info.last_used_at = number("last_used_at");
  info.uses = number("uses");
  return info;
}

// REQUIRES: Choosing: two users of a shared folder would write over each other.
Result<> NoteUse(int folder_fd, const std::string& id) {
  CacheMountInfo info = ReadInfo(folder_fd);
  int64_t now = std::time(nullptr);
  nlohmann::ordered_json json = {{"id", id},
                                 {"created_at", info.uses > 0 ? info.created_at : now},
                                 {"last_used_at", now},
                                 {"uses", info.uses + 1}};
  std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  {
    TRY_ASSIGN(UniqueFd file,
               OpenAt(folder_fd, kNewInfo, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    TRY(WriteAll(file.get(), text + "\n"));
  }
  if (renameat(folder_fd, kNewInfo, folder_fd, kInfo) != 0) return Errno("rename info.json");
  return {};
}

}  // namespace

Result<CacheMount> CacheMount::Open(Store& store, const std::string& id, Sharing sharing,
                                    const std::function<Result<>(const std::string& path)>& fill,
                                    const std::function<bool()>& give_up) {
  const std::string base = Digest::Of(id).Hex();
  for (;;) {
    TRY_ASSIGN(UniqueFd choosing, Choosing(store.root_fd()));
    TRY_ASSIGN(std::optional<Folder> folder, Choose(store.root_fd(), base, sharing));
    if (!folder) {
      choosing.Reset();
      if (give_up && give_up()) return Fail(ECANCELED, "wait for the cache mount '" + id + "'");
      std::this_thread::sleep_for(kRetry);
      continue;
    }
    const std::string path = store.path() + "/" + kFolder + "/" + folder->name;
    if (!folder->filled) {
      choosing.Reset();
      TRY(Fill(*folder, path, fill));
      TRY_ASSIGN(choosing, Choosing(store.root_fd()));
    }
    TRY(NoteUse(folder->fd.get(), id));
    // Between the two locks there is a moment with none; nobody takes it, because we are choosing.
    if (sharing == Sharing::kShared) TRY(Lock(folder->fd.get(), LOCK_SH));
    return CacheMount(path + "/" + kData, std::move(folder->fd));
  }
}

Result<std::vector<CacheMountInfo>> CacheMounts(Store& store) {
  std::vector<CacheMountInfo> all;
  {
    TRY_ASSIGN(UniqueFd choosing, Choosing(store.root_fd()));
    TRY_ASSIGN(auto names, ListDirectory(store.root_fd(), kFolder));
    for (const std::string& name : names) {
      auto folder = Take(store.root_fd(), name);
      if (!folder) continue;  // not a directory: none of ours
      CacheMountInfo info = ReadInfo(folder->fd.get());
      info.folder = name;
      info.in_use = folder->users != Folder::Users::kNone;
      all.push_back(std::move(info));
    }
  }
  for (CacheMountInfo& info : all) {
    TRY_ASSIGN(info.bytes,
               AllocatedBytes(store.root_fd(), std::string(kFolder) + "/" + info.folder));
  }
  return all;
}

Result<RemovedCacheMounts> RemoveCacheMounts(Store& store,
                                             const std::vector<std::string>& folders) {
  RemovedCacheMounts removed;
  // Out of the way at once, and to where a sweep finds what is left if we are killed; their locks,
  // which stay ours, keep it from doing so now.
  std::vector<std::pair<std::string, Folder>> moved;
  {
    TRY_ASSIGN(UniqueFd choosing, Choosing(store.root_fd()));
    for (const std::string& name : folders) {
      auto folder = Take(store.root_fd(), name);
      if (!folder || folder->users != Folder::Users::kNone) continue;
      std::string from = std::string(kFolder) + "/" + name;
      std::string to = "ingest/" + RandomHex().substr(0, 32);
      if (renameat(store.root_fd(), from.c_str(), store.root_fd(), to.c_str()) != 0) continue;
      moved.emplace_back(std::move(to), std::move(*folder));
    }
  }
  for (auto& [path, folder] : moved) {
    const uint64_t bytes = AllocatedBytes(store.root_fd(), path).value_or(0);
    // It is a cache mount no more. What cannot be removed, the next sweep complains about.
    if (RemoveTree(store.root_fd(), path)) removed.bytes += bytes;
    removed.folders.push_back(std::move(folder.name));
  }
  return removed;
}

}  // namespace veneer
