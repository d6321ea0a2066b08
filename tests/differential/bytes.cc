#include "tests/differential/bytes.h"

#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstring>

#include "store/base/bytes.h"

namespace veneer::differential {

namespace {

std::string Acl(uint32_t value) {
  std::string acl;
  AppendLE<uint32_t>(acl, POSIX_ACL_XATTR_VERSION);
  auto add = [&](uint16_t tag, uint32_t permissions, uint32_t id) {
    AppendLE<uint16_t>(acl, tag);
    AppendLE<uint16_t>(acl, static_cast<uint16_t>(permissions & 7));
    AppendLE<uint32_t>(acl, id);
  };
  constexpr auto kNoId = static_cast<uint32_t>(ACL_UNDEFINED_ID);
  add(ACL_USER_OBJ, 6 | (value & 1), kNoId);
  bool named = value % 3 != 0;  // without named entries the host keeps the mode alone
  if (named) add(ACL_USER, value >> 1, 1000);
  if (value % 3 == 2) add(ACL_USER, value >> 3, 2000);
  add(ACL_GROUP_OBJ, value >> 2, kNoId);
  if (named) {
    add(ACL_GROUP, value >> 4, 1000);
    add(ACL_MASK, value >> 5, kNoId);
  }
  add(ACL_OTHER, value >> 6, kNoId);
  return acl;
}

std::string Capability(uint32_t value) {
  std::string data;
  AppendLE<uint32_t>(data, VFS_CAP_REVISION_2 | (value & 1));
  for (uint32_t word : {value & 0xffffU, 0U, 0U, 0U}) AppendLE<uint32_t>(data, word);
  return data;
}

}  // namespace

void FillBytes(char* out, size_t size, uint32_t value, uint64_t offset) {
  if (value == 0) {
    std::memset(out, 0, size);
    return;
  }
  for (size_t i = 0; i < size; ++i) {
    uint64_t at = offset + i;
    out[i] = static_cast<char>(value * 131 + at * 7 + (at >> 8) * 31 + 1);
  }
}

uint64_t HashOf(std::string_view data) {
  uint64_t hash = data.size();
  size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, data.data() + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
  }
  for (; i < data.size(); ++i) {
    hash = (hash ^ static_cast<unsigned char>(data[i])) * 0x9e3779b97f4a7c15ULL;
  }
  return hash ^ hash >> 29;
}

std::string XattrValue(std::string_view name, uint32_t value) {
  if (name.starts_with("system.posix_acl_")) return Acl(value);
  if (name == "security.capability") return Capability(value);
  std::string text(value % 100, '\0');
  FillBytes(text.data(), text.size(), value, 0);
  return text;
}

}  // namespace veneer::differential
