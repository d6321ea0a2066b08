#include "tests/differential/op.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <array>
#include <charconv>
#include <span>

namespace veneer::differential {

namespace {

constexpr std::array<std::string_view, kOpKinds> kNames = {
    "stat",      "access",  "open",     "tmpfile",  "linktmp",  "mkdir",     "rmdir",
    "unlink",    "rename",  "link",     "symlink",  "readlink", "mknod",     "chmod",
    "chown",     "utimens", "truncate", "setxattr", "getxattr", "listxattr", "removexattr",
    "readfile",  "close",   "fstat",    "fchmod",   "fchown",   "futimens",  "ftruncate",
    "fsetxattr", "pread",   "pwrite",   "read",     "write",    "fallocate", "seek",
    "copyrange", "fsync",   "advise",   "flock",    "lock",     "getlock",   "readdir",
    "seekdir",   "mmap",    "mread",    "mwrite",   "msync",    "munmap",    "check",
    "drop",      "remount"};

struct Word {
  uint32_t bits;
  std::string_view name;
};
// Longer patterns first: O_TMPFILE holds O_DIRECTORY's bit, O_SYNC O_DSYNC's.
constexpr Word kOpenWords[] = {
    {O_TMPFILE, "O_TMPFILE"},   {O_SYNC, "O_SYNC"},         {O_RDWR, "O_RDWR"},
    {O_WRONLY, "O_WRONLY"},     {O_CREAT, "O_CREAT"},       {O_EXCL, "O_EXCL"},
    {O_TRUNC, "O_TRUNC"},       {O_APPEND, "O_APPEND"},     {O_DIRECTORY, "O_DIRECTORY"},
    {O_NOFOLLOW, "O_NOFOLLOW"}, {O_NONBLOCK, "O_NONBLOCK"}, {O_DIRECT, "O_DIRECT"},
    {O_PATH, "O_PATH"}};
constexpr Word kRenameWords[] = {{RENAME_NOREPLACE, "NOREPLACE"}, {RENAME_EXCHANGE, "EXCHANGE"}};
constexpr Word kFallocateWords[] = {{FALLOC_FL_KEEP_SIZE, "KEEP_SIZE"},
                                    {FALLOC_FL_PUNCH_HOLE, "PUNCH_HOLE"},
                                    {FALLOC_FL_ZERO_RANGE, "ZERO_RANGE"},
                                    {FALLOC_FL_COLLAPSE_RANGE, "COLLAPSE_RANGE"},
                                    {FALLOC_FL_INSERT_RANGE, "INSERT_RANGE"}};
constexpr Word kSeekWords[] = {{SEEK_DATA, "SEEK_DATA"}, {SEEK_HOLE, "SEEK_HOLE"}};

std::span<const Word> WordsOf(OpKind kind) {
  switch (kind) {
    case OpKind::kOpen:
    case OpKind::kTmpFile:
      return kOpenWords;
    case OpKind::kRename:
      return kRenameWords;
    case OpKind::kFallocate:
      return kFallocateWords;
    case OpKind::kSeek:
      return kSeekWords;
    default:
      return {};
  }
}

std::string FlagText(OpKind kind, uint32_t flags) {
  std::string text;
  for (const Word& word : WordsOf(kind)) {
    if ((flags & word.bits) != word.bits) continue;
    flags &= ~word.bits;
    text += (text.empty() ? "" : "|") + std::string(word.name);
  }
  if (flags != 0) text += fmt::format("{}{:#x}", text.empty() ? "" : "|", flags);
  return text;
}

template <typename T>
bool Number(std::string_view text, T& out) {
  int base = 10;
  bool minus = text.starts_with("-");
  if (minus) text.remove_prefix(1);
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (minus) out = static_cast<T>(-static_cast<int64_t>(out));
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

bool ParseFlags(OpKind kind, std::string_view text, uint32_t& flags) {
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find('|'));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    bool known = false;
    for (const Word& each : WordsOf(kind)) {
      if (each.name == word) {
        flags |= each.bits;
        known = true;
      }
    }
    uint32_t number = 0;
    if (!known && !Number(word, number)) return false;
    flags |= number;
  }
  return true;
}

// Runs of one character shrink to "{255:a}"; what would break the line is "%20". Names made here
// hold no braces and no percent signs.
std::string Quote(std::string_view path) {
  constexpr size_t kRun = 8;
  std::string text;
  for (size_t i = 0; i < path.size();) {
    size_t end = path.find_first_not_of(path[i], i);
    size_t run = (end == path.npos ? path.size() : end) - i;
    auto byte = static_cast<unsigned char>(path[i]);
    std::string one =
        byte <= ' ' || byte >= 127 ? fmt::format("%{:02x}", byte) : std::string(1, path[i]);
    if (run >= kRun) {
      text += fmt::format("{{{}:{}}}", run, one);
    } else {
      for (size_t k = 0; k < run; ++k) text += one;
    }
    i += run;
  }
  return text;
}

std::string Unquote(std::string_view text) {
  std::string path;
  for (size_t i = 0; i < text.size();) {
    size_t repeat = 1;
    bool braced = text[i] == '{';
    if (braced) {
      size_t colon = text.find(':', i);
      if (colon == text.npos || !Number(text.substr(i + 1, colon - i - 1), repeat)) return path;
      i = colon + 1;
    }
    char one = text[i];
    unsigned byte = 0;
    if (one == '%' && i + 2 < text.size() + 0 &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ec == std::errc()) {
      one = static_cast<char>(byte);
      i += 2;
    }
    path.append(repeat, one);
    i += braced ? 2 : 1;
  }
  return path;
}

bool ParseField(Op& op, std::string_view key, std::string_view value) {
  if (key == "w") return Number(value, op.worker) && op.worker >= 0 && op.worker < kWorkers;
  if (key == "at") return Number(value, op.at) && op.at < kSlots;
  if (key == "s") return Number(value, op.slot) && op.slot < kSlots;
  if (key == "s2") return Number(value, op.slot2) && op.slot2 < kSlots;
  if (key == "m") return Number(value, op.slot2) && op.slot2 < kMaps;
  if (key == "off") return Number(value, op.off);
  if (key == "off2") return Number(value, op.off2);
  if (key == "len") return Number(value, op.len);
  if (key == "mode") return Number(value, op.mode);
  if (key == "v") return Number(value, op.value);
  if (key == "flags") return ParseFlags(op.kind, value, op.flags);
  if (key == "path") op.path = Unquote(value);
  if (key == "to") op.path2 = Unquote(value);
  if (key == "name") op.name = Unquote(value);
  return key == "path" || key == "to" || key == "name";
}

bool OnMapping(OpKind kind) { return kind >= OpKind::kMmap && kind <= OpKind::kMunmap; }

}  // namespace

std::string_view OpName(OpKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::string ToText(const Op& op) {
  std::string text(OpName(op.kind));
  auto out = std::back_inserter(text);
  if (op.kind < OpKind::kCheck) fmt::format_to(out, " w={}", op.worker);
  if (op.slot >= 0) fmt::format_to(out, " s={}", op.slot);
  if (op.slot2 >= 0) fmt::format_to(out, " {}={}", OnMapping(op.kind) ? "m" : "s2", op.slot2);
  if (op.at >= 0) fmt::format_to(out, " at={}", op.at);
  if (!op.path.empty()) fmt::format_to(out, " path={}", Quote(op.path));
  if (!op.path2.empty()) fmt::format_to(out, " to={}", Quote(op.path2));
  if (!op.name.empty()) fmt::format_to(out, " name={}", op.name);
  if (op.flags != 0) fmt::format_to(out, " flags={}", FlagText(op.kind, op.flags));
  if (op.mode != 0) fmt::format_to(out, " mode={:#o}", op.mode);
  if (op.off != 0) fmt::format_to(out, " off={}", op.off);
  if (op.off2 != 0) fmt::format_to(out, " off2={}", op.off2);
  if (op.len != 0) fmt::format_to(out, " len={}", op.len);
  if (op.value != 0) fmt::format_to(out, " v={}", op.value);
  return text;
}

std::optional<Op> FromText(std::string_view line) {
  Op op;
  bool first = true;
  while (!line.empty()) {
    std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(line.size(), word.size() + 1));
    if (word.empty()) continue;
    if (first) {
      size_t kind = 0;
      while (kind < kOpKinds && kNames[kind] != word) ++kind;
      if (kind == kOpKinds) return std::nullopt;
      op.kind = static_cast<OpKind>(kind);
      first = false;
      continue;
    }
    size_t equals = word.find('=');
    if (equals == word.npos) return std::nullopt;
    if (!ParseField(op, word.substr(0, equals), word.substr(equals + 1))) return std::nullopt;
  }
  if (first) return std::nullopt;
  return op;
}

}  // namespace veneer::differential
