#include "fs/options.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace veneer::fs {

namespace {

// The kernel's least, beside its own header.
constexpr uint32_t kLeastMaxWrite = 4096;

// Words that mount(2) understands through libfuse.
constexpr std::array<std::string_view, 16> kMountWords = {
    "suid",          "nosuid",    "dev",         "nodev",       "exec",       "noexec",
    "async",         "sync",      "noatime",     "dirsync",     "nodiratime", "norelatime",
    "nostrictatime", "symfollow", "nosymfollow", "auto_unmount"};

// Words of mount(8) and fstab, and defaults: they ask for what is done anyway.
constexpr std::array<std::string_view, 17> kNothing = {
    "defaults", "user",    "users",    "nouser",   "auto",        "noauto",
    "nofail",   "_netdev", "diratime", "relatime", "strictatime", "default_permissions",
    "fsync=1",  "sync=1",  "nonempty", "subtype",  "comment"};

// Options of other overlay programs that have no use here, by what their value may be.
enum class ValueIs { kAbsent, kNumber, kAny, kXino };
struct UselessOption {
  std::string_view key;
  ValueIs value;
};
constexpr std::array<UselessOption, 11> kUseless = {{
    {"threaded", ValueIs::kNumber},  // it always is
    {"fast_ino", ValueIs::kNumber},  // inode numbers never change
    {"fast_ino_check", ValueIs::kNumber},
    {"writeback", ValueIs::kNumber},  // passthrough excludes it
    {"plugins", ValueIs::kAny},
    {"xino", ValueIs::kXino},
    {"ino32_t", ValueIs::kAbsent},
    {"splice_read", ValueIs::kAbsent},
    {"splice_write", ValueIs::kAbsent},
    {"splice_move", ValueIs::kAbsent},
    {"kernel_cache", ValueIs::kAbsent},
}};

template <size_t N>
bool Has(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Splits -o's value at commas; "\," is a comma within a value, and so is one between quotes (the
// value of context= has some).
std::vector<std::string> SplitOptions(std::string_view text) {
  std::vector<std::string> options(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      options.back() += text[++i];
    } else if (text[i] == ',' && !quoted) {
      options.emplace_back();
    } else {
      // Only labels are quoted; in a path it is a character like any other.
      if (text[i] == '"' && (quoted || options.back().ends_with("context="))) quoted = !quoted;
      options.back() += text[i];
    }
  }
  std::erase(options, "");
  return options;
}

// Who escapes colons in lowerdir does so in the other two.
std::string Unescape(std::string_view text) {
  std::string path;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\\:")) ++i;
    path += text[i];
  }
  return path;
}

template <typename Number>
Result<Number> ParseNumber(const std::string& key, const std::string& value) {
  Number number{};
  auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || value.empty()) {
    return Invalid("option " + key + ": '" + value + "' is not a number");
  }
  return number;
}

// "key", "key=0" or "key=1" (any other number counts as 1).
Result<bool> ParseFlag(const std::string& key, const std::string& option) {
  if (option == key) return true;
  TRY_ASSIGN(int number, ParseNumber<int>(key, option.substr(key.size() + 1)));
  return number != 0;
}

Result<IdMap> ParseMap(const std::string& key, const std::string& value) {
  auto map = IdMap::Parse(value);
  if (!map) return Invalid("option " + key + "=" + value + ": " + map.error().Message());
  return map;
}

Result<StatOverride::Form> ParseForm(const std::string& value) {
  if (value == "0") return StatOverride::Form::kNone;
  if (value == "1") return StatOverride::Form::kPrivileged;
  if (value == "2") return StatOverride::Form::kContainers;
  return Invalid("option xattr_permissions: '" + value + "' is none of 0, 1, 2");
}

Result<> ParseRedirectDir(const std::string& value, Options& out) {
  if (value != "on" && value != "off" && value != "follow" && value != "nofollow") {
    return Invalid("option redirect_dir: '" + value + "' is none of on, off, follow, nofollow");
  }
  out.behaviour.write_redirects = value == "on";
  return {};
}

// libfuse splits its options at commas, too.
std::string EscapeCommas(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

bool IsSelinuxContext(std::string_view key) {
  return key == "context" || key == "fscontext" || key == "defcontext" || key == "rootcontext";
}

// What the layers are, and what of this program's own.
Result<bool> ApplyOwnOption(const std::string& key, const std::string& value, Options& out) {
  if (key == "lowerdir") {
    out.lowerdirs = SplitLowerdir(value);
  } else if (key == "upperdir") {
    out.upperdir = Unescape(value);
  } else if (key == "workdir") {
    out.workdir = Unescape(value);
  } else if (key == "chain") {
    out.chain = value;
  } else if (key == "objects") {
    out.objects = value;
  } else if (key == "fsname") {
    out.fsname = value;
  } else if (key == "log") {
    out.log_file = value;
  } else if (key == "lease_fd") {
    TRY_ASSIGN(out.lease_fd, ParseNumber<int>(key, value));
    if (out.lease_fd < 0) return Invalid("lease_fd=" + value + " is not a descriptor");
  } else if (key == "debug") {
    out.debug = true;
  } else if (key == "no_passthrough") {
    out.passthrough = false;
  } else if (key == "no_open") {
    out.opens = false;
  } else if (key == "no_prompt_wakes") {
    out.prompt_wakes = false;
  } else if (key == "uring") {
    if (out.rings != RingUse::kNever) out.rings = RingUse::kAlways;
  } else if (key == "no_uring") {
    out.rings = RingUse::kNever;
  } else {
    return false;
  }
  return true;
}

// What the mount shows.
Result<bool> ApplyViewOption(const std::string& key, const std::string& value,
                             const std::string& option, Options& out) {
  Ownership::Settings& owners = out.ownership;
  if (key == "uidmapping") {
    TRY_ASSIGN(owners.uids, ParseMap(key, value));
  } else if (key == "gidmapping") {
    TRY_ASSIGN(owners.gids, ParseMap(key, value));
  } else if (option == "squash_to_root") {
    // The other two win, wherever they stand.
    if (!owners.squash_uid) owners.squash_uid = 0;
    if (!owners.squash_gid) owners.squash_gid = 0;
  } else if (key == "squash_to_uid") {
    TRY_ASSIGN(owners.squash_uid, ParseNumber<uint32_t>(key, value));
  } else if (key == "squash_to_gid") {
    TRY_ASSIGN(owners.squash_gid, ParseNumber<uint32_t>(key, value));
  } else if (key == "xattr_permissions") {
    TRY_ASSIGN(out.stat_override, ParseForm(value));
  } else if (key == "timeout") {
    TRY_ASSIGN(out.timeout, ParseNumber<double>(key, value));
    if (!(*out.timeout >= 0)) return Invalid("option timeout: '" + value + "' is negative");
  } else if (key == "noxattrs") {
    TRY_ASSIGN(bool off, ParseFlag(key, option));
    out.xattrs = !off;
  } else if (key == "noacl") {
    TRY_ASSIGN(bool off, ParseFlag(key, option));
    out.behaviour.acl = !off;
  } else if (option == "static_nlink") {
    out.behaviour.static_nlink = true;
  } else if (key == "redirect_dir") {
    TRY(ParseRedirectDir(value, out));
  } else if (option == "metacopy=on" || option == "metacopy=off") {
    out.behaviour.metacopy = value == "on";
  } else if (option == "share_programs") {
    out.behaviour.share_programs = true;
  } else {
    return false;
  }
  return true;
}

// What goes to the kernel.
Result<bool> ApplyMountOption(const std::string& key, const std::string& value,
                              const std::string& option, Options& out) {
  if (option == "ro" || option == "rw") {
    out.read_only = option == "ro";
  } else if (option == "volatile") {
    out.is_volatile = true;
  } else if (option != "sync" && (key == "fsync" || key == "sync")) {
    TRY_ASSIGN(bool on, ParseFlag(key, option));
    out.is_volatile = !on;
  } else if (option == "allow_other") {
    out.allow_other = true;
  } else if (option == "allow_root") {
    out.allow_other = false;
    out.mount_options.push_back(option);
  } else if (option == "atime") {
    std::erase(out.mount_options, "noatime");
    out.atime = true;
  } else if (key == "max_write") {
    TRY_ASSIGN(out.max_write, ParseNumber<uint32_t>(key, value));
    if (out.max_write < kLeastMaxWrite) {
      return Invalid("option max_write: " + value + " is less than " +
                     std::to_string(kLeastMaxWrite));
    }
  } else if (key == "max_read") {
    TRY(ParseNumber<uint32_t>(key, value));
    out.mount_options.push_back(option);
  } else if (IsSelinuxContext(key)) {
    out.selinux.push_back(EscapeCommas(option));
  } else if (Has(kMountWords, option)) {
    out.mount_options.push_back(option);
  } else {
    return false;
  }
  return true;
}

Result<> CheckUseless(const UselessOption& known, const std::string& value,
                      const std::string& option) {
  std::string key(known.key);
  switch (known.value) {
    case ValueIs::kAbsent:
      if (option != key) return Invalid("option " + key + " takes no value");
      return {};
    case ValueIs::kNumber:
      TRY(ParseFlag(key, option));
      return {};
    case ValueIs::kXino:
      if (value == "on" || value == "off" || value == "auto") return {};
      return Invalid("option xino: '" + value + "' is none of on, off, auto");
    case ValueIs::kAny:
      return {};
  }
  return {};
}

Result<> ApplyOption(const std::string& option, Options& out) {
  size_t equals = option.find('=');
  std::string key = option.substr(0, equals);
  std::string value = equals == option.npos ? "" : option.substr(equals + 1);
  TRY_ASSIGN(bool known, ApplyOwnOption(key, value, out));
  if (known) return {};
  TRY_ASSIGN(known, ApplyViewOption(key, value, option, out));
  if (known) return {};
  TRY_ASSIGN(known, ApplyMountOption(key, value, option, out));
  if (known) return {};
  for (const UselessOption& useless : kUseless) {
    if (useless.key != key) continue;
    TRY(CheckUseless(useless, value, option));
    out.useless.push_back(option);
    return {};
  }
  if (!Has(kNothing, option) && !Has(kNothing, key) && !key.starts_with("x-")) {
    out.ignored.push_back(option);
  }
  return {};
}

Result<> CheckOptions(Options& out) {
  if (out.mountpoint.empty()) return Invalid("no mount point given (veneerfs -h for help)");
  if (out.lowerdirs.empty() && out.chain.empty()) {
    return Invalid("lowerdir= or chain= must be given");
  }
  if (!out.lowerdirs.empty() && !out.chain.empty()) {
    return Invalid("lowerdir= and chain= exclude each other");
  }
  if (!out.chain.empty() && out.objects.empty()) return Invalid("chain= needs objects=");
  if (out.upperdir.empty() != out.workdir.empty()) {
    return Invalid("upperdir= and workdir= belong together");
  }
  return {};
}

}  // namespace

std::vector<std::string> SplitLowerdir(std::string_view value) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) {
      parts.back() += value[++i];
    } else if (value[i] == ':') {
      parts.emplace_back();
    } else {
      parts.back() += value[i];
    }
  }
  std::erase(parts, "");
  return parts;
}

Result<Options> ParseOptions(std::span<const std::string> args, bool as_root) {
  Options out;
  out.allow_other = as_root;
  std::vector<std::string> positional;
  std::vector<std::string> options;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "-f") {
      out.foreground = true;
    } else if (arg == "-d" || arg == "--debug") {
      out.debug = out.foreground = true;
    } else if (arg == "-h" || arg == "--help") {
      out.show_help = true;
    } else if (arg == "-V" || arg == "--version") {
      out.show_version = true;
    } else if (arg == "--no-passthrough") {
      out.passthrough = false;
    } else if (arg == "--no-uring") {
      out.rings = RingUse::kNever;
    } else if (arg == "-o" || arg == "-t" || arg == "-N") {
      if (++i == args.size()) return Invalid(arg + " needs a value");
      if (arg == "-o") options.push_back(args[i]);  // mount(8) gives helpers -t TYPE, -N NAMESPACE
    } else if (arg.starts_with("-o")) {
      options.push_back(arg.substr(2));
    } else if (arg == "-n" || arg == "-s" || arg == "-v" || arg == "-w") {
      continue;  // mount(8)'s
    } else if (arg == "-r") {
      out.read_only = true;
    } else if (arg.size() > 1 && arg[0] == '-') {
      return Invalid("unknown option " + arg + " (veneerfs -h for help)");
    } else {
      positional.push_back(arg);
    }
  }
  if (out.show_help || out.show_version) return out;
  if (positional.size() > 2) return Invalid("too many arguments (veneerfs -h for help)");
  if (!positional.empty()) out.mountpoint = positional.back();
  if (positional.size() == 2 && !positional[0].empty()) out.fsname = positional[0];
  for (const std::string& list : options) {
    for (const std::string& option : SplitOptions(list)) {
      if (auto applied = ApplyOption(option, out); !applied) {
        return std::unexpected(std::move(applied).error());
      }
    }
  }
  TRY(CheckOptions(out));
  if (as_root) {
    // What a root filesystem needs; given options come later, and win.
    out.mount_options.insert(out.mount_options.begin(), {"suid", "dev"});
  }
  if (!out.atime) out.mount_options.insert(out.mount_options.begin(), "noatime");
  if (out.upperdir.empty()) out.read_only = true;
  return out;
}

std::string UsageText() {
  return "usage: veneerfs [-f] [-d] [--no-passthrough] [--no-uring] -o OPTIONS [SOURCE] "
         "MOUNTPOINT\n"
         "\n"
         "  -f, -d       stay in the foreground; and log every request\n"
         "  -h, -V       show this help; the version\n"
         "\n"
         "OPTIONS, comma-separated:\n"
         "  lowerdir=A:B        directories to show, the first on top (\"\\:\" for a colon)\n"
         "  chain=FILE          or: the merged tree of a store's chain (\"none\": empty)\n"
         "  objects=DIR         the store's objects, for chain=\n"
         "  upperdir=DIR        where changes go; without it the mount is read-only\n"
         "  workdir=DIR         an empty directory on the same filesystem as upperdir\n"
         "  ro, volatile        no changes; no fsync (also: fsync=0)\n"
         "  uidmapping=, gidmapping=DISK:SHOWN:COUNT[:...]\n"
         "                      show owners DISK... as SHOWN..., and store them the other way "
         "round\n"
         "  squash_to_root, squash_to_uid=N, squash_to_gid=N\n"
         "                      show everything as root's, user N's, group N's\n"
         "  xattr_permissions=1|2\n"
         "                      keep owners, modes and devices in an attribute (1: security.*, 2: "
         "user.*)\n"
         "  redirect_dir=off    renaming a directory of the lower fails with EXDEV\n"
         "  metacopy=on         for lowerdir=: changes of owner, mode, times and attributes copy "
         "no\n"
         "                      data (off: other programs may read upperdir; chain= always does)\n"
         "  noxattrs, noacl     no extended attributes; no ACLs\n"
         "  static_nlink        every directory has one link\n"
         "  timeout=SECONDS     how long the kernel may keep names and attributes (default: 30 "
         "days)\n"
         "  allow_other, allow_root, context=LABEL, max_write=BYTES\n"
         "                      for the FUSE mount\n"
         "  log=FILE            log there instead of syslog\n"
         "  lease_fd=N          keep the inherited descriptor N open while mounted\n"
         "  fsname=NAME         what /proc/mounts shows as the source\n"
         "  no_passthrough, no_uring\n"
         "                      without these ways to the data and the kernel\n"
         "  no_open             read-only mounts: files are opened without asking the daemon;\n"
         "                      fast for many small files, but pages are not shared between "
         "mounts\n"
         "  share_programs      executables and libraries of the lower: pages are shared between\n"
         "                      mounts; while one is open it cannot be written (ETXTBSY), and\n"
         "                      mappings do not see it change\n"
         "  no_prompt_wakes     let idle CPUs sleep also while many requests come\n"
         "  uring               with io_uring also in a mount namespace that may end with the "
         "daemon\n"
         "  mount(8)'s usual flags\n"
         "Options of fuse-overlayfs that have no use here are accepted, with one warning.\n";
}

}  // namespace veneer::fs
