#include "tests/differential/worker.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

namespace veneer::differential {

namespace {

constexpr std::array<Identity, kWorkers> kIdentities = {
    {{0, 0, 0, 022}, {0, 0, 0, 0}, {1000, 1000, 2000, 027}, {2000, 2000, 100, 002}}};
constexpr size_t kMaxMessage = 128 << 10;

// What goes over the channel before the payload.
struct Head {
  int error;
  int64_t value;
  uint64_t hash;
  FileStat st;
};
static_assert(std::is_trivially_copyable_v<Head>);

bool Become(const Identity& identity) {
  umask(identity.umask);
  if (setgroups(1, &identity.other_group) != 0) return false;
  if (setresgid(identity.gid, identity.gid, identity.gid) != 0) return false;
  if (setresuid(identity.uid, identity.uid, identity.uid) != 0) return false;
  prctl(PR_SET_DUMPABLE, 1);  // else /proc/self is not its own any more
  return true;
}

[[noreturn]] void Serve(const std::string& root, int role, int channel) {
  if (!Become(IdentityOf(role))) _exit(1);
  Executor executor(root);
  std::string line(kMaxMessage, '\0');
  for (;;) {
    ssize_t n = recv(channel, line.data(), line.size(), 0);
    if (n <= 0) _exit(0);
    auto op = FromText(std::string_view(line).substr(0, static_cast<size_t>(n)));
    if (!op) _exit(1);
    Reply reply = executor.Execute(*op);
    Head head = {reply.error, reply.value, reply.hash, reply.st};
    std::string message(reinterpret_cast<const char*>(&head), sizeof head);
    message += reply.payload;
    if (send(channel, message.data(), message.size(), MSG_NOSIGNAL) < 0) _exit(1);
  }
}

}  // namespace

const Identity& IdentityOf(int role) { return kIdentities[static_cast<size_t>(role)]; }

Result<Worker> Worker::Start(const std::string& root, int role) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Errno("socketpair");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  pid_t pid = fork();
  if (pid < 0) return Errno("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);  // the controller decides
    int channel = theirs.get();
    // The others' channels, so that each ends when the controller does.
    close_range(3, static_cast<unsigned>(channel) - 1, 0);
    close_range(static_cast<unsigned>(channel) + 1, ~0U, 0);
    Serve(root, role, channel);
  }
  return Worker(pid, std::move(ours));
}

Worker::Worker(Worker&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), channel_(std::move(other.channel_)) {}

Worker::~Worker() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Result<> Worker::Send(const Op& op) {
  std::string line = ToText(op);
  if (send(channel_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return Errno("send");
  return {};
}

Result<Reply> Worker::Receive(std::chrono::milliseconds timeout) {
  struct pollfd waiting = {.fd = channel_.get(), .events = POLLIN, .revents = 0};
  int ready = poll(&waiting, 1, static_cast<int>(timeout.count()));
  if (ready < 0) return Errno("poll");
  if (ready == 0) return Fail(ETIMEDOUT, "the worker does not answer");
  static thread_local std::string buffer(kMaxMessage, '\0');
  ssize_t n = recv(channel_.get(), buffer.data(), buffer.size(), 0);
  if (n < static_cast<ssize_t>(sizeof(Head))) return Fail(EPIPE, "the worker is gone");
  Head head;
  std::memcpy(&head, buffer.data(), sizeof head);
  Reply reply;
  reply.error = head.error;
  reply.value = head.value;
  reply.hash = head.hash;
  reply.st = head.st;
  reply.payload.assign(buffer, sizeof head, static_cast<size_t>(n) - sizeof head);
  return reply;
}

}  // namespace veneer::differential
