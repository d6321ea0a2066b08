// AgentProxy: a socket of ours that stands for an SSH agent's, with owner and mode as asked for.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::build {

// Passes bytes on between those who connect and the agent, until it goes.
class AgentProxy {
 public:
  // Listens at `path`, an absolute one that must not exist; `agent` is the agent's socket.
  static Result<std::unique_ptr<AgentProxy>> Start(const std::string& path,
                                                   const std::string& agent, mode_t mode, uid_t uid,
                                                   gid_t gid);
  ~AgentProxy();
  AgentProxy(const AgentProxy&) = delete;
  AgentProxy& operator=(const AgentProxy&) = delete;

 private:
  AgentProxy(UniqueFd listener, UniqueFd stop, std::string agent);
  void Serve();

  UniqueFd listener_;
  UniqueFd stop_;  // an eventfd: written when it is to end
  std::string agent_;
  std::thread thread_;
};

}  // namespace veneer::build
