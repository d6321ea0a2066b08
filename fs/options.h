// Options: veneerfs' command line, taken apart. Knows nothing of FUSE but the names of its mount
// options.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer::fs {

struct Options {
  // One of these two says what the lower is.
  std::vector<std::string> lowerdirs;  // topmost first
  std::string chain;                   // path of a merged tree's file, or "none"
  std::string objects;
  std::string upperdir;  // empty: read-only
  std::string workdir;

  std::string mountpoint;
  std::string fsname = "veneerfs";
  std::string log_file;
  std::vector<std::string> mount_options;  // for the FUSE mount, as they came
  int lease_fd = -1;                       // kept open for the daemon's life
  bool read_only = false;
  bool is_volatile = false;
  bool allow_other = false;
  bool default_permissions = true;
  bool passthrough = true;
  bool uring = true;
  bool foreground = false;
  bool debug = false;
  bool show_help = false;
  bool show_version = false;

  std::vector<std::string> ignored;  // unknown options, for one warning
};

// Parses `args` (without the program's name). Errors are sentences for a person. `as_root` decides
// the defaults.
Result<Options> ParseOptions(std::span<const std::string> args, bool as_root);

// Splits at ':', with "\:" for a colon and "\\" for a backslash.
std::vector<std::string> SplitLowerdir(std::string_view value);

std::string UsageText();

}  // namespace veneer::fs
