#include "store/lease.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

#include "store/base/beneath.h"
#include "store/directory.h"

namespace veneer {
namespace {

constexpr const char* kWorkLock = "leases/work";
constexpr const char* kMountLeases = "leases/mounts";
constexpr size_t kMaxLeaseSize = 16 << 20;

Result<UniqueFd> Locked(int dirfd, const std::string& path, int operation) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, path, O_RDWR | O_CREAT, 0600));
  int r;
  do {
    r = flock(fd.get(), operation);
  } while (r != 0 && errno == EINTR);
  if (r != 0) return Errno("lock " + path);
  return fd;
}

}  // namespace

std::string RandomHex() {
  std::array<uint8_t, Digest::kSize> bytes{};
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (n > 0) done += static_cast<size_t>(n);
  }
  return Digest(bytes).Hex();
}

Result<WorkLease> WorkLease::Shared(int root_fd) {
  TRY_ASSIGN(UniqueFd fd, Locked(root_fd, kWorkLock, LOCK_SH));
  return WorkLease(std::move(fd));
}
Result<WorkLease> WorkLease::Exclusive(int root_fd) {
  TRY_ASSIGN(UniqueFd fd, Locked(root_fd, kWorkLock, LOCK_EX));
  return WorkLease(std::move(fd));
}
Result<WorkLease> WorkLease::TryExclusive(int root_fd) {
  TRY_ASSIGN(UniqueFd fd, Locked(root_fd, kWorkLock, LOCK_EX | LOCK_NB));
  return WorkLease(std::move(fd));
}

Result<MountLease> MountLease::Create(int root_fd, std::span<const DiffId> layers) {
  std::string path = std::string(kMountLeases) + "/" + RandomHex();
  TRY_ASSIGN(UniqueFd fd, Locked(root_fd, path, LOCK_EX));
  std::string content;
  for (const DiffId& layer : layers) content += layer.Hex() + "\n";
  TRY(WriteAll(fd.get(), content));
  return MountLease(std::move(fd));
}

Result<std::vector<std::vector<DiffId>>> LeasedChains(int root_fd) {
  std::vector<std::vector<DiffId>> chains;
  TRY_ASSIGN(auto names, ListDirectory(root_fd, kMountLeases));
  for (const std::string& name : names) {
    std::string path = std::string(kMountLeases) + "/" + name;
    auto lock = Locked(root_fd, path, LOCK_EX | LOCK_NB);
    if (lock) {
      unlinkat(root_fd, path.c_str(), 0);
      continue;
    }
    if (lock.error().code() != EWOULDBLOCK) return std::unexpected(lock.error());
    TRY_ASSIGN(std::string content, ReadFileAt(root_fd, path, kMaxLeaseSize));
    std::vector<DiffId>& layers = chains.emplace_back();
    for (size_t at = 0; at + 64 <= content.size(); at += 65) {
      TRY_ASSIGN(Digest digest, Digest::ParseHex(std::string_view(content).substr(at, 64)));
      layers.push_back(DiffId(digest));
    }
  }
  return chains;
}

}  // namespace veneer
