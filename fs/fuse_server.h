// FuseServer: the FUSE face of an engine: mounts it, answers the kernel's requests until it is
// unmounted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/overlay.h"
#include "store/base/result.h"

namespace veneer::fs {

class FuseServer {
 public:
  struct Config {
    std::string mountpoint;  // absolute
    std::string fsname;
    std::vector<std::string> mount_options;
    bool read_only = false;
    bool allow_other = false;
    bool default_permissions = true;
    bool passthrough = true;
    bool xattrs = true;
    bool acl = true;
    // How long the kernel may keep names and attributes, in seconds. By default, practically for
    // ever: the daemon is the only one to change its upper, and lowers do not change at all.
    double timeout = 86400.0 * 30;
    uint32_t max_write = 1 << 20;  // at most this
    bool opens = true;             // false: read-only engines only, see Overlay::ReadUnopened
    bool uring = true;
    bool prompt_wakes = true;  // prompt_wakes.h
    bool debug = false;
    std::function<void()> ready;  // called once, when the kernel and the server have agreed
  };

  // Mounts. The engine must outlive the server.
  static Result<std::unique_ptr<FuseServer>> Mount(Overlay& overlay, Config config);
  virtual ~FuseServer() = default;

  // Serves until it is unmounted, or SIGTERM, SIGINT or SIGHUP asks to end; then unmounts, if it is
  // still its own mount that is there.
  virtual Result<> Serve() = 0;
};

}  // namespace veneer::fs
