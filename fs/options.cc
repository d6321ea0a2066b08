#include "fs/options.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace veneer::fs {

namespace {

// Words that mount(2) understands through libfuse.
constexpr std::array<std::string_view, 15> kMountWords = {
    "suid",       "nosuid",     "dev",           "nodev",     "exec",
    "noexec",     "async",      "sync",          "noatime",   "dirsync",
    "nodiratime", "norelatime", "nostrictatime", "symfollow", "nosymfollow"};

// Words of mount(8), fstab, and of other overlay programs that change nothing here.
constexpr std::array<std::string_view, 21> kNothing = {
    "defaults", "user",        "users",        "nouser",       "auto",
    "noauto",   "nofail",      "_netdev",      "atime",        "diratime",
    "relatime", "strictatime", "rw",           "kernel_cache", "fsync=1",
    "sync=1",   "splice_read", "splice_write", "splice_move",  "redirect_dir=on",
    "xino=on"};

// Options whose silent absence would show wrong owners.
constexpr std::array<std::string_view, 6> kUnsupported = {"uidmapping",     "gidmapping",
                                                          "squash_to_root", "squash_to_uid",
                                                          "squash_to_gid",  "xattr_permissions"};

template <size_t N>
bool Has(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Splits -o's value at commas; "\," is a comma within a value.
std::vector<std::string> SplitOptions(std::string_view text) {
  std::vector<std::string> options(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      options.back() += text[++i];
    } else if (text[i] == ',') {
      options.emplace_back();
    } else {
      options.back() += text[i];
    }
  }
  std::erase(options, "");
  return options;
}

Result<> ApplyOption(const std::string& option, Options& out) {
  size_t equals = option.find('=');
  std::string key = option.substr(0, equals);
  std::string value = equals == option.npos ? "" : option.substr(equals + 1);
  if (key == "lowerdir") {
    out.lowerdirs = SplitLowerdir(value);
  } else if (key == "upperdir") {
    out.upperdir = value;
  } else if (key == "workdir") {
    out.workdir = value;
  } else if (key == "chain") {
    out.chain = value;
  } else if (key == "objects") {
    out.objects = value;
  } else if (key == "fsname") {
    out.fsname = value;
  } else if (key == "log") {
    out.log_file = value;
  } else if (key == "lease_fd") {
    auto parsed = std::from_chars(value.data(), value.data() + value.size(), out.lease_fd);
    if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || out.lease_fd < 0) {
      return Invalid("lease_fd=" + value + " is not a descriptor");
    }
  } else if (option == "ro") {
    out.read_only = true;
  } else if (option == "volatile" || option == "fsync=0" || option == "sync=0") {
    out.is_volatile = true;
  } else if (option == "debug") {
    out.debug = true;
  } else if (option == "allow_other") {
    out.allow_other = true;
  } else if (option == "default_permissions") {
    out.default_permissions = true;
  } else if (option == "no_passthrough") {
    out.passthrough = false;
  } else if (option == "no_uring") {
    out.uring = false;
  } else if (Has(kMountWords, option) || key == "max_read" || option == "allow_root" ||
             option == "auto_unmount") {
    out.mount_options.push_back(option);
  } else if (Has(kUnsupported, key)) {
    return Invalid("option " + key + " is not supported");
  } else if (!Has(kNothing, option) && key != "subtype" && key != "comment" &&
             !key.starts_with("x-")) {
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
    } else if (arg == "-d") {
      out.debug = out.foreground = true;
    } else if (arg == "-h" || arg == "--help") {
      out.show_help = true;
    } else if (arg == "-V" || arg == "--version") {
      out.show_version = true;
    } else if (arg == "--no-passthrough") {
      out.passthrough = false;
    } else if (arg == "--no-uring") {
      out.uring = false;
    } else if (arg == "-o" || arg == "-t") {
      if (++i == args.size()) return Invalid(arg + " needs a value");
      if (arg == "-o") options.push_back(args[i]);  // mount(8) gives helpers -t TYPE
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
    out.mount_options.insert(out.mount_options.begin(), {"suid", "dev", "noatime"});
  }
  if (out.read_only && !out.upperdir.empty()) {
    return Invalid(
        "upperdir=" + out.upperdir +
        " cannot be mounted with ro: leave one of them out, or give it as the first lowerdir");
  }
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
         "  ro, volatile        no changes; no fsync\n"
         "  log=FILE            log there instead of syslog\n"
         "  lease_fd=N          keep the inherited descriptor N open while mounted\n"
         "  fsname=NAME         what /proc/mounts shows as the source\n"
         "  no_passthrough, no_uring, and mount(8)'s usual flags\n";
}

}  // namespace veneer::fs
