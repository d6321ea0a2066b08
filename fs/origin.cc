#include "fs/origin.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace veneer::fs {

namespace {

// version, magic, length of all, flags, type of the handle, UUID, handle.
constexpr size_t kVersion = 0, kMagic = 1, kLength = 2, kFlags = 3, kType = 4, kUuid = 5;
constexpr size_t kHandle = kUuid + sizeof(FsUuid);
constexpr unsigned char kMagicByte = 0xfb;
constexpr unsigned char kBigEndian = 1, kAnyEndian = 2, kUpper = 4;
constexpr unsigned char kOurEndian = std::endian::native == std::endian::big ? kBigEndian : 0;

// <linux/fs.h> and ext4's, younger than the headers we build with.
struct GenericUuid {
  unsigned char length;
  unsigned char uuid[16];
};
struct Ext4Uuid {
  uint32_t length;
  uint32_t flags;
  unsigned char uuid[16];
};
constexpr unsigned long kGetUuid = _IOR(0x15, 0, GenericUuid);  // Linux 6.9
// Linux 6.0; its size counts only what stands before the UUID.
constexpr unsigned long kGetExt4Uuid = _IOC(_IOC_READ, 'f', 44, 2 * sizeof(uint32_t));

// A file_handle with room for its bytes, which follow the struct.
class Handle {
 public:
  struct file_handle* get() { return reinterpret_cast<struct file_handle*>(buffer_); }
  unsigned char* bytes() { return buffer_ + sizeof(struct file_handle); }

 private:
  alignas(
      struct file_handle) unsigned char buffer_[sizeof(struct file_handle) + MAX_HANDLE_SZ] = {};
};

unsigned char At(std::string_view origin, size_t at) {
  return static_cast<unsigned char>(origin[at]);
}

bool IsOrigin(std::string_view origin) {
  return origin.size() > kHandle && At(origin, kVersion) == 0 && At(origin, kMagic) == kMagicByte &&
         At(origin, kLength) == origin.size() && origin.size() - kHandle <= MAX_HANDLE_SZ;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::optional<FsUuid> FilesystemUuid(int fd) {
  FsUuid uuid = {};
  GenericUuid generic = {};
  if (ioctl(fd, kGetUuid, &generic) == 0 && generic.length == uuid.size()) {
    std::copy_n(generic.uuid, uuid.size(), uuid.begin());
    return uuid;
  }
  Ext4Uuid ext4 = {.length = sizeof(ext4.uuid), .flags = 0, .uuid = {}};
  if (ioctl(fd, kGetExt4Uuid, &ext4) == 0 && ext4.length == uuid.size()) {
    std::copy_n(ext4.uuid, uuid.size(), uuid.begin());
    return uuid;
  }
  return std::nullopt;
}

std::optional<std::string> EncodeOrigin(int dirfd, const std::string& name, const FsUuid& uuid,
                                        bool upper) {
  Handle handle;
  handle.get()->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(dirfd, name.c_str(), handle.get(), &mount_id,
                        name.empty() ? AT_EMPTY_PATH : 0) != 0) {
    return std::nullopt;
  }
  const int type = handle.get()->handle_type;
  if (type < 0 || type > 254) return std::nullopt;
  std::string origin(kHandle, '\0');
  origin.append(reinterpret_cast<const char*>(handle.bytes()), handle.get()->handle_bytes);
  origin[kMagic] = static_cast<char>(kMagicByte);
  origin[kLength] = static_cast<char>(origin.size());
  origin[kFlags] = static_cast<char>(kOurEndian | (upper ? kUpper : 0));
  origin[kType] = static_cast<char>(type);
  memcpy(origin.data() + kUuid, uuid.data(), uuid.size());
  return origin;
}

bool OriginIsOn(std::string_view origin, const FsUuid& uuid) {
  if (!IsOrigin(origin)) return false;
  unsigned char flags = At(origin, kFlags);
  if ((flags & kAnyEndian) == 0 && (flags & kBigEndian) != kOurEndian) return false;
  return memcmp(origin.data() + kUuid, uuid.data(), uuid.size()) == 0;
}

Result<UniqueFd> OpenOrigin(int fd, std::string_view origin) {
  Handle handle;
  std::string_view bytes = origin.substr(kHandle);
  handle.get()->handle_bytes = static_cast<unsigned>(bytes.size());
  handle.get()->handle_type = At(origin, kType);
  memcpy(handle.bytes(), bytes.data(), bytes.size());
  UniqueFd file(open_by_handle_at(fd, handle.get(), O_PATH | O_CLOEXEC));
  if (!file) return Errno("open by handle");
  return file;
}

bool SameHandle(std::string_view origin, std::string_view other) {
  return IsOrigin(origin) && IsOrigin(other) && origin[kType] == other[kType] &&
         origin.substr(kHandle) == other.substr(kHandle);
}

std::string IndexName(std::string_view origin) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  name.reserve(origin.size() * 2);
  for (char c : origin) {
    auto byte = static_cast<unsigned char>(c);
    name += kDigits[byte >> 4];
    name += kDigits[byte & 15];
  }
  return name;
}

std::optional<std::string> ParseIndexName(std::string_view name) {
  if (name.size() % 2 != 0) return std::nullopt;
  std::string origin;
  for (size_t i = 0; i < name.size(); i += 2) {
    int high = HexDigit(name[i]);
    int low = HexDigit(name[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    origin += static_cast<char>(high << 4 | low);
  }
  if (!IsOrigin(origin)) return std::nullopt;
  return origin;
}

}  // namespace veneer::fs
