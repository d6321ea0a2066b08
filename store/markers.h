// The markers Veneer writes into an upper directory and reads from uppers and plain-directory
// lowers.
//
// docs/upper-format.md is the format; this header holds its names and the few conversions that the
// engine (fs/), commit and diff (store/) must do alike. Every marker is an extended attribute
// called <prefix><name>, where the prefix is kTrustedPrefix when the mount's owner may use trusted
// xattrs, else kUserPrefix. All functions are pure.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/digest.h"

namespace veneer::markers {

inline constexpr std::string_view kTrustedPrefix = "trusted.overlay.";
inline constexpr std::string_view kUserPrefix = "user.overlay.";
inline constexpr std::string_view kFuseOverlayfsPrefix = "user.fuseoverlayfs.";

// Names behind the prefix.
inline constexpr std::string_view kOpaque = "opaque";      // directory: "y"
inline constexpr std::string_view kRedirect = "redirect";  // directory: where its lower is
inline constexpr std::string_view kMetacopy =
    "metacopy";  // regular file: its data is still in the lower
inline constexpr std::string_view kWhiteout = "whiteout";  // empty regular file: a whiteout
inline constexpr std::string_view kImpure =
    "impure";  // directory: "y", holds entries that carry kIno
inline constexpr std::string_view kNlink = "nlink";    // indexed file: "U+n" or "U-n"
inline constexpr std::string_view kOrigin = "origin";  // copied-up file: fs/origin.h of the lower's
inline constexpr std::string_view kUpperOrigin = "upper";  // work/index: fs/origin.h of the upper
inline constexpr std::string_view kIno = "veneer.ino";     // the inode number shown, decimal
inline constexpr std::string_view kPending =
    "veneer.pending";  // regular file: its copied data may not be durable yet
inline constexpr std::string_view kUpper =
    "veneer.upper";  // upper's root: version and what it is an upper of

// AUFS form, in plain-directory lowers.
inline constexpr std::string_view kAufsPrefix = ".wh.";
inline constexpr std::string_view kAufsOpaque = ".wh..wh..opq";

// Folders of the work directory.
inline constexpr const char* kWorkTemporary = "work";  // emptied at every mount
inline constexpr const char* kWorkLinks =
    "links";  // <16 hex digits of the inode number>: hard links
inline constexpr const char* kWorkStandIns =
    "standins";  // <16 hex digits of st_ino>: attributes of files that take none
inline constexpr const char* kWorkIndex = "index";  // <hex of the origin>: hard links, the kernel's
inline constexpr const char* kWorkPending = "pending";  // there are files that carry kPending
inline constexpr const char* kWorkLock =
    "lock";  // process ID of the mount that holds upper and work

// What kWorkLock's text ends with while its mount is over, and its daemon makes durable what is
// not.
inline constexpr std::string_view kLockEnding = " ending\n";

inline constexpr int kUpperVersion = 1;

// Inode numbers of files born in an upper: this bit with the upper filesystem's own number.
inline constexpr uint64_t kUpperInoBit = uint64_t{1} << 48;

// True for the device form of a whiteout, the only one an upper written as root has.
inline bool IsWhiteoutDevice(mode_t mode, dev_t rdev) {
  return S_ISCHR(mode) && rdev == makedev(0, 0);
}

// The value of kMetacopy in a store mount's upper: "1 <64 hex digits> <size> <ino>".
struct Metacopy {
  ObjectId object;    // where the data is
  uint64_t size = 0;  // of the data; the file's st_size may differ after a crash, this counts
  uint64_t ino = 0;   // the lower inode
};

inline std::string FormatMetacopy(const Metacopy& m) {
  return "1 " + m.object.Hex() + " " + std::to_string(m.size) + " " + std::to_string(m.ino);
}

// Decimal digits only, below 2^64; nullopt for anything else.
inline std::optional<uint64_t> ParseDecimal(std::string_view text) {
  if (text.empty() || text.size() > 20) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

// nullopt: not in this form (the kernel's metacopy values are binary, or empty).
inline std::optional<Metacopy> ParseMetacopy(std::string_view text) {
  if (!text.starts_with("1 ") || text.size() < 2 + 64 + 4 || text[66] != ' ') return std::nullopt;
  auto digest = Digest::ParseHex(text.substr(2, 64));
  std::string_view numbers = text.substr(67);
  size_t blank = numbers.find(' ');
  if (!digest || blank == numbers.npos) return std::nullopt;
  auto size = ParseDecimal(numbers.substr(0, blank));
  auto ino = ParseDecimal(numbers.substr(blank + 1));
  if (!size || !ino) return std::nullopt;
  return Metacopy{.object = ObjectId(*digest), .size = *size, .ino = *ino};
}

inline std::optional<uint64_t> ParseIno(std::string_view text) {
  auto ino = ParseDecimal(text);
  return ino && *ino != 0 ? ino : std::nullopt;
}

// Extended attributes as users see them and as an upper or a plain lower stores them. A user's own
// "trusted.overlay.x" is stored as "trusted.overlay.overlay.x" (as the kernel's overlayfs does
// since 6.7), and likewise for the other two prefixes, so that it can never be taken for a marker.
inline std::string_view OverlayPrefixOf(std::string_view xattr) {
  for (std::string_view prefix : {kTrustedPrefix, kUserPrefix, kFuseOverlayfsPrefix}) {
    if (xattr.starts_with(prefix)) return prefix;
  }
  return {};
}

// The name under which the user's attribute `xattr` is stored.
inline std::string StoredXattrName(std::string_view xattr) {
  std::string_view prefix = OverlayPrefixOf(xattr);
  if (prefix.empty()) return std::string(xattr);
  return std::string(prefix) + "overlay." + std::string(xattr.substr(prefix.size()));
}

// The user's name of the stored attribute `xattr`; nullopt for a marker, which users do not see.
inline std::optional<std::string> UserXattrName(std::string_view xattr) {
  std::string_view prefix = OverlayPrefixOf(xattr);
  if (prefix.empty()) return std::string(xattr);
  std::string_view rest = xattr.substr(prefix.size());
  if (!rest.starts_with("overlay.")) return std::nullopt;
  return std::string(prefix) + std::string(rest.substr(8));
}

}  // namespace veneer::markers
