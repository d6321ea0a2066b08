// Options: veneerfs' command line, taken apart. Knows nothing of FUSE but the names of its mount
// options.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fs/overlay.h"
#include "fs/ownership.h"
#include "store/base/result.h"

namespace veneer::fs {

// Where the daemon is asked through FUSE-over-io_uring, if the kernel has it.
enum class RingUse : uint8_t { kNever, kWhereMountsOutliveUs, kAlways };

struct Options {
  // One of these two says what the lower is.
  std::vector<std::string> lowerdirs;  // topmost first
  std::string chain;                   // path of a merged tree's file, or "none"
  std::string objects;
  std::string upperdir;  // empty: read-only
  std::string workdir;

  std::string mountpoint;
  std::vector<std::string> selinux;  // likewise; for hosts that have it
  std::string fsname = "veneerfs";
  std::string log_file;
  std::vector<std::string> mount_options;  // for the FUSE mount, as they came
  int lease_fd = -1;                       // kept open for the daemon's life
  Ownership::Settings ownership;
  Overlay::Behaviour behaviour;
  StatOverride::Form stat_override = StatOverride::Form::kNone;
  std::optional<double> timeout;  // seconds that the kernel may keep names and attributes
  uint32_t max_write = 0;         // 0: the largest
  bool xattrs = true;
  bool read_only = false;
  bool is_volatile = false;
  bool allow_other = false;
  bool atime = false;
  bool default_permissions = true;
  bool passthrough = true;
  bool opens = true;  // asked when a file is opened; only read-only mounts do without
  bool prompt_wakes = true;
  RingUse rings = RingUse::kWhereMountsOutliveUs;
  bool foreground = false;
  bool debug = false;
  bool show_help = false;
  bool show_version = false;

  // For one warning each.
  std::vector<std::string> ignored;  // unknown options
  std::vector<std::string> useless;  // options of other programs that change nothing here
};

// Parses `args` (without the program's name). Errors are sentences for a person. `as_root` decides
// the defaults.
Result<Options> ParseOptions(std::span<const std::string> args, bool as_root);

// Splits at ':', with "\:" for a colon and "\\" for a backslash.
std::vector<std::string> SplitLowerdir(std::string_view value);

std::string UsageText();

}  // namespace veneer::fs
