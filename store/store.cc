#include "store/store.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "store/base/beneath.h"

namespace veneer {
namespace {

// Filesystems whose locks, renames or mappings are not those of one host.
const char* NetworkFilesystem(int fd) {
  constexpr long kCifs = 0xff534d42, kSmb2 = 0xfe534d42, kCeph = 0x00c36400, kGfs2 = 0x01161970,
                 kOcfs2 = 0x7461636f, kLustre = 0x0bd00bd0;
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return nullptr;
  switch (static_cast<unsigned long>(fs.f_type)) {
    case NFS_SUPER_MAGIC:
      return "NFS";
    case SMB_SUPER_MAGIC:
    case kCifs:
    case kSmb2:
      return "SMB";
    case V9FS_MAGIC:
      return "9P";
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
      return "AFS";
    case CODA_SUPER_MAGIC:
      return "Coda";
    case kCeph:
      return "Ceph";
    case kGfs2:
      return "GFS2";
    case kOcfs2:
      return "OCFS2";
    case kLustre:
      return "Lustre";
    default:
      return nullptr;
  }
}

// A directory that nobody else looks into: layers hold files that their images keep from most
// users.
Result<> OwnersOnly(int root_fd, const std::string& folder) {
  TRY(EnsureDir(root_fd, folder, 0700));
  TRY_ASSIGN(struct stat st, StatAt(root_fd, folder, 0));
  if ((st.st_mode & 077) != 0 && fchmodat(root_fd, folder.c_str(), 0700, 0) != 0) {
    return Errno("chmod " + folder);
  }
  return {};
}

}  // namespace

std::string Store::DefaultPath() {
  auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (std::string root = variable("VENEER_ROOT"); !root.empty()) return root;
  if (geteuid() == 0) return "/var/lib/veneer";
  if (std::string data = variable("XDG_DATA_HOME"); !data.empty()) return data + "/veneer";
  return variable("HOME") + "/.local/share/veneer";
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  std::error_code ec;
  std::string absolute = std::filesystem::absolute(path, ec).lexically_normal();
  while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  std::filesystem::create_directories(absolute, ec);
  if (ec) return Invalid("cannot create the store '" + absolute + "': " + ec.message(), ec.value());
  auto opened = OpenAt(AT_FDCWD, absolute, O_RDONLY | O_DIRECTORY);
  if (!opened)
    return Invalid("cannot open the store '" + absolute + "': " + strerror(opened.error().code()),
                   EACCES);
  if (const char* network = NetworkFilesystem(opened->get())) {
    return Invalid("the store '" + absolute + "' is on a network filesystem (" + network +
                       "); choose a local directory with --root or VENEER_ROOT",
                   EINVAL);
  }
  std::unique_ptr<Store> store(new Store(absolute, std::move(*opened)));
  for (const char* folder : {"objects", "layers", "chains", "containers", "cache-mounts", "ingest",
                             "leases", "leases/mounts"}) {
    auto made = OwnersOnly(store->root_fd(), folder);
    if (!made) {
      return Invalid(
          "cannot create '" + absolute + "/" + folder + "': " + strerror(made.error().code()),
          made.error().code());
    }
  }
  // Made here first, because SQLite would make it readable for everybody. One that is there is not
  // opened: closing it again would end the locks of another Store's connection in this process, and
  // whoever closes the catalogue then takes the log away from under it.
  if (auto made = OpenAt(store->root_fd(), "veneer.db", O_RDWR | O_CREAT | O_EXCL, 0600);
      !made && made.error().code() != EEXIST) {
    return std::unexpected(made.error());
  }
  TRY_ASSIGN(store->catalog_, Catalog::Open(absolute + "/veneer.db"));
  return store;
}

}  // namespace veneer
