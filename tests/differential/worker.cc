#include "tests/differential/worker.h"

#include <fmt/format.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace veneer::differential {

namespace {

constexpr std::array<Identity, kWorkers> kIdentities = {
    {{0, 0, 0, 022}, {0, 0, 0, 0}, {1000, 1000, 2000, 027}, {2000, 2000, 100, 002}}};
constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kBetweenLooks{500};  // at who is still alive

bool Become(const Identity& identity) {
  umask(identity.umask);
  if (setgroups(1, &identity.other_group) != 0) return false;
  if (setresgid(identity.gid, identity.gid, identity.gid) != 0) return false;
  if (setresuid(identity.uid, identity.uid, identity.uid) != 0) return false;
  prctl(PR_SET_DUMPABLE, 1);  // else /proc/self is not its own any more
  return true;
}

[[noreturn]] void Serve(const std::string& root, Board& board, Post post, pid_t controller) {
  if (!Become(IdentityOf(post.worker))) _exit(1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // new identities clear it
  if (getppid() != controller) _exit(1);
  Executor executor(root);
  for (;;) board.PutAnswer(post, executor.Execute(board.AwaitOp(post)));
}

}  // namespace

const Identity& IdentityOf(int role) { return kIdentities[static_cast<size_t>(role)]; }

Result<Worker> Worker::Start(const std::string& root, Board& board, Post post) {
  pid_t controller = getpid();
  pid_t pid = fork();
  if (pid < 0) return Errno("fork");
  if (pid == 0) {
    for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);  // the controller decides
    close_range(3, ~0U, 0);
    prctl(PR_SET_NAME, post.side == kPlain ? "plain-worker" : "mount-worker");
    Serve(root, board, post, controller);
  }
  return Worker(pid);
}

Worker::Worker(Worker&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Worker::~Worker() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Worker::Alive() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

Result<Crew> Crew::Start(const std::string& plain, const std::string& mount) {
  TRY_ASSIGN(auto board, Board::Make());
  Crew crew(std::move(board));
  for (int role = 0; role < kWorkers; ++role) {
    for (size_t side : {kPlain, kMount}) {
      TRY_ASSIGN(Worker worker, Worker::Start(side == kPlain ? plain : mount, *crew.board_,
                                              {.side = side, .worker = role}));
      crew.workers_[side].push_back(std::move(worker));
    }
  }
  return crew;
}

Result<> Crew::Await() {
  auto end = std::chrono::steady_clock::now() + kPatience;
  while (!board_->AwaitAnswers(kBetweenLooks)) {
    bool late = std::chrono::steady_clock::now() > end;
    for (size_t side : {kPlain, kMount}) {
      for (int role = 0; role < kWorkers; ++role) {
        if (board_->Answered({side, role})) continue;
        const char* who = side == kPlain ? "plain" : "mount";
        if (!workers_[side][static_cast<size_t>(role)].Alive()) {
          return Fail(EPIPE, fmt::format("{}: the worker is gone", who));
        }
        if (late) return Fail(ETIMEDOUT, fmt::format("{}: the worker does not answer", who));
      }
    }
  }
  return {};
}

Result<> Crew::Run(const Op& op, std::initializer_list<size_t> sides, int first, int last) {
  for (size_t side : sides) {
    for (int role = first; role <= last; ++role) TRY(board_->PutUp({side, role}, op));
  }
  board_->Begin();
  return Await();
}

Result<std::array<Reply, kSides>> Crew::Do(const Op& op) {
  TRY(Run(op, {kPlain, kMount}, op.worker, op.worker));
  return std::array{board_->Answer({kPlain, op.worker}), board_->Answer({kMount, op.worker})};
}

Result<Reply> Crew::DoOnMount(const Op& op) {
  TRY(Run(op, {kMount}, op.worker, op.worker));
  return board_->Answer({kMount, op.worker});
}

Result<> Crew::DoByAll(const Op& op) { return Run(op, {kPlain, kMount}, 0, kWorkers - 1); }

}  // namespace veneer::differential
