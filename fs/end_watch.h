// EndWatch: ends the daemon in good order when a signal asks it to.
//
// A signal that asks to end is handled in a thread, since a handler may take no lock and the loop
// must go on serving meanwhile: the freeze gate is opened for good, for those who wait there would
// keep the loop from ending, and what mappings changed is written, which is in the kernel's page
// cache and would be gone with the mount. Then the signal is sent again, to libfuse's handler. More
// signals meanwhile change nothing: whoever cannot wait sends SIGKILL.
#pragma once

#include <functional>
#include <thread>

#include "fs/overlay.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

// Watches from construction to destruction. One at a time in a process. REQUIRES: handlers for
// SIGTERM, SIGINT and SIGHUP are installed, and stay until it is destroyed.
class EndWatch {
 public:
  // `write_back` is called in the thread, once, when a signal has come.
  EndWatch(Overlay& overlay, std::function<void()> write_back);
  ~EndWatch();
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

 private:
  void Watch(Overlay& overlay);

  const UniqueFd event_;
  const std::function<void()> write_back_;
  std::thread thread_;
};

}  // namespace veneer::fs
