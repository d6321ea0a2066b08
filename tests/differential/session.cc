#include "tests/differential/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store/base/beneath.h"
#include "tests/differential/differences.h"
#include "tests/differential/tree_copy.h"

namespace veneer::differential {

namespace {

constexpr std::chrono::milliseconds kPatience{60000};

bool StubsIn(const LowerTree& lower, const std::string& options) {
  return lower.kind() == LowerKind::kChain || options.find("metacopy=on") != options.npos;
}

}  // namespace

Session::Session(const LowerTree& lower, std::string dir, const SessionOptions& options)
    : lower_(lower),
      dir_(std::move(dir)),
      options_(options),
      model_(StubsIn(lower, options.mount_options)),
      comparison_(dir_ + "/plain", dir_ + "/side/mnt", lower.kind() == LowerKind::kStack) {
  model_.on_name = [this](const Node* node, const std::string& name, bool added) {
    listings_.OnName(node, name, added);
  };
}

Result<std::unique_ptr<Session>> Session::Start(const LowerTree& lower, const std::string& dir,
                                                const SessionOptions& options) {
  std::unique_ptr<Session> session(new Session(lower, dir, options));
  std::string plain = dir + "/plain";
  if (mkdir(dir.c_str(), 0755) != 0) return Errno(dir);
  TRY(CopyTree(lower.merged(), plain));
  TRY(session->model_.Load(plain));
  TRY_ASSIGN(session->mount_,
             MountSubject::Make(lower, dir + "/side", options.mount_options, options.program));
  for (int role = 0; role < kWorkers; ++role) {
    TRY_ASSIGN(Worker one, Worker::Start(plain, role));
    TRY_ASSIGN(Worker other, Worker::Start(session->mount_->path(), role));
    session->workers_[0].push_back(std::move(one));
    session->workers_[1].push_back(std::move(other));
  }
  return session;
}

Session::~Session() {
  workers_ = {};
  mount_.reset();
  auto removed = RemoveTree(AT_FDCWD, dir_);
  if (!removed) fmt::print(stderr, "{}\n", removed.error().Message());
}

Result<Reply> Session::Ask(size_t side, const Op& op) {
  Worker& worker = workers_[side][static_cast<size_t>(op.worker)];
  TRY(worker.Send(op));
  return worker.Receive(kPatience);
}

std::optional<Failure> Session::Remount() {
  Op release;
  release.kind = OpKind::kRemount;
  for (size_t side : {0U, 1U}) {
    for (release.worker = 0; release.worker < kWorkers; ++release.worker) {
      auto released = Ask(side, release);
      if (!released) return Failure{"release: " + released.error().Message()};
    }
  }
  model_.Apply(release, Reply());
  listings_.OnRemount();
  auto done = mount_->Unmount();
  if (done) done = mount_->Mount();
  if (!done) return Failure{"remount: " + done.error().Message()};
  comparison_.Remounted();
  return std::nullopt;
}

std::optional<Failure> Session::Step(const Op& op) {
  if (op.kind < OpKind::kCheck) return StepOnWorkers(op);
  coverage_.Count(op, 0, true);
  if (op.kind == OpKind::kDrop) {
    // Not an error where it may not be written.
    UniqueFd fd(options_.drop_caches ? open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC) : -1);
    if (fd && write(fd.get(), "3", 1) != 1) return Failure{"drop_caches: failed"};
    return std::nullopt;
  }
  if (op.kind == OpKind::kRemount) return Remount();
  auto difference = comparison_.Trees(model_);
  return difference ? std::optional(Failure{*difference}) : std::nullopt;
}

std::optional<Failure> Session::StepOnWorkers(const Op& op) {
  auto failure = [&](const std::string& what) {
    size_t colon = what.find(':');
    return Failure{fmt::format("{} {}: {}", OpName(op.kind), what.substr(0, colon),
                               colon == what.npos ? "" : what.substr(colon + 2))};
  };
  uint32_t states = Coverage::StatesOf(model_, op);
  auto number = static_cast<size_t>(op.worker);
  if (MustFailOnMount(model_, op)) {
    auto reply = Ask(1, op);
    if (!reply) return failure("no answer: " + reply.error().Message());
    if (reply->error == 0) return failure("error: succeeds, and must not");
    coverage_.Count(op, states, false);
    return std::nullopt;
  }
  for (auto& side : workers_) {
    if (auto sent = side[number].Send(op); !sent) {
      return failure("no answer: " + sent.error().Message());
    }
  }
  std::array<Reply, 2> replies;
  for (size_t side : {0U, 1U}) {
    auto reply = workers_[side][number].Receive(kPatience);
    if (!reply) {
      return failure(
          fmt::format("no answer: {}, {}", side == 0 ? "plain" : "mount", reply.error().Message()));
    }
    replies[side] = std::move(*reply);
  }
  coverage_.Count(op, states, replies[0].error == 0);
  Model::Applied applied = model_.Apply(op, replies[0]);
  if (options_.trace) {
    fmt::print("ino={} error={} value={} {}\n", applied.node ? applied.node->ino : 0,
               replies[0].error, replies[0].value, ToText(op));
  }
  auto difference = comparison_.AfterOp(op, applied, replies[0], replies[1]);
  if (difference) return failure(*difference);
  for (size_t side : {0U, 1U}) {
    if (op.kind == OpKind::kSeekdir) listings_.OnSeekdir(op, side, replies[side]);
    if (op.kind != OpKind::kReaddir) continue;
    if (auto wrong = listings_.OnReaddir(op, side, replies[side])) {
      return failure(fmt::format("{} side: {}", side == 0 ? "plain" : "mount", *wrong));
    }
  }
  if (replies[0].error == 0) Follow(op, applied, replies[0]);
  return std::nullopt;
}

void Session::Follow(const Op& op, const Model::Applied& applied, const Reply& plain) {
  const Node* node = applied.node.get();
  switch (op.kind) {
    case OpKind::kOpen:
    case OpKind::kTmpFile:
      listings_.OnOpen(op.worker, op.slot, applied.node);
      break;
    case OpKind::kClose:
      listings_.OnOpen(op.worker, op.slot, nullptr);
      break;
    case OpKind::kMwrite:
      if (node != nullptr && (model_.mapping(op.worker, op.slot2).flags & 0x10) == 0) {
        comparison_.TimeUnsure(node->ino);
      }
      break;
    case OpKind::kWrite:
    case OpKind::kPwrite:
      if (plain.st.known && !S_ISREG(plain.st.mode)) comparison_.TimeUnsure(plain.st.ino);
      break;
    case OpKind::kUtimens:
    case OpKind::kFutimens:
      // What a mapping still has to write would change it again.
      if (op.off2 == UTIME_OMIT) break;
      if (node != nullptr && node->maps == 0 && node->IsReg()) comparison_.TimeSure(node->ino);
      break;
    default:
      break;
  }
}

std::optional<Failure> Session::Finish() {
  Op check;
  if (auto failure = Step(check)) return failure;
  if (auto failure = Remount()) return failure;
  if (auto failure = Step(check)) return failure;
  workers_ = {};
  auto done = mount_->Unmount();
  if (!done) return Failure{"unmount: " + done.error().Message()};
  done = lower_.CheckUnchanged();
  if (!done) return Failure{"lower: " + done.error().Message()};
  return std::nullopt;
}

}  // namespace veneer::differential
