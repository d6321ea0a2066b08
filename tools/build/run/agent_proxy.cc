#include "tools/build/run/agent_proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>
#include <vector>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Fail(ENAMETOOLONG, "socket " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Errno("socket");
  return fd;
}

Result<UniqueFd> Connect(const std::string& path) {
  TRY_ASSIGN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_PATH));
  TRY_ASSIGN(const sockaddr_un address, AddressOf(FdPath(file.get())));
  TRY_ASSIGN(UniqueFd fd, NewSocket());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Errno("connect to " + path);
  return fd;
}

constexpr size_t kMaxLinks = 64;
constexpr timeval kPatience = {10, 0};  // for one who does not read

// One client and the agent. Agents answer each request whole, so either side may wait for the
// other.
struct Link {
  UniqueFd client;
  UniqueFd agent;
};

// What has come is passed on; false when one side is done.
bool PassOn(int from, int to) {
  char buffer[16384];
  const ssize_t n = read(from, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  return n > 0 && WriteAll(to, {buffer, static_cast<size_t>(n)}).has_value();
}

}  // namespace

Result<std::unique_ptr<AgentProxy>> AgentProxy::Start(const std::string& path,
                                                      const std::string& agent, mode_t mode,
                                                      uid_t uid, gid_t gid) {
  // By its directory: addresses of sockets are short.
  const size_t slash = path.rfind('/') + 1;
  TRY_ASSIGN(const UniqueFd folder, OpenAt(AT_FDCWD, path.substr(0, slash), O_PATH | O_DIRECTORY));
  TRY_ASSIGN(const sockaddr_un address, AddressOf(FdPath(folder.get(), path.substr(slash))));
  TRY_ASSIGN(UniqueFd listener, NewSocket());
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Errno("bind " + path);
  if (chown(path.c_str(), uid, gid) != 0 || chmod(path.c_str(), mode) != 0)
    return Errno("owner and mode of the agent's socket");
  if (listen(listener.get(), SOMAXCONN) != 0) return Errno("listen on " + path);
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) return Errno("eventfd");
  return std::unique_ptr<AgentProxy>(new AgentProxy(std::move(listener), std::move(stop), agent));
}

AgentProxy::AgentProxy(UniqueFd listener, UniqueFd stop, std::string agent)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      agent_(std::move(agent)),
      thread_([this] { Serve(); }) {}

AgentProxy::~AgentProxy() {
  (void)eventfd_write(stop_.get(), 1);
  thread_.join();
}

void AgentProxy::Serve() {
  std::vector<Link> links;
  for (;;) {
    const int listening = links.size() < kMaxLinks ? listener_.get() : -1;  // -1: not looked at
    std::vector<pollfd> fds = {{stop_.get(), POLLIN, 0}, {listening, POLLIN, 0}};
    for (const Link& link : links) {
      fds.push_back({link.client.get(), POLLIN, 0});
      fds.push_back({link.agent.get(), POLLIN, 0});
    }
    if (poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[0].revents != 0) return;
    for (size_t i = links.size(); i-- > 0;) {
      Link& link = links[i];
      const bool goes_on =
          (fds[2 + 2 * i].revents == 0 || PassOn(link.client.get(), link.agent.get())) &&
          (fds[3 + 2 * i].revents == 0 || PassOn(link.agent.get(), link.client.get()));
      if (!goes_on) links.erase(links.begin() + static_cast<ptrdiff_t>(i));
    }
    if (fds[1].revents == 0) continue;
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;  // no descriptors are left: there is no sense in trying for ever
    auto agent = Connect(agent_);
    if (!agent) continue;
    for (const int fd : {client.get(), agent->get()})
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    links.push_back({std::move(client), std::move(*agent)});
  }
}

}  // namespace veneer::build
