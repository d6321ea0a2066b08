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
    comparison_.Touched(node->ino);
  };
  model_.on_touched = [this](const Node& node) { comparison_.Touched(node.ino); };
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
  TRY_ASSIGN(Crew crew, Crew::Start(plain, session->mount_->path()));
  session->crew_.emplace(std::move(crew));
  return session;
}

Session::~Session() {
  crew_.reset();
  mount_.reset();
  auto removed = RemoveTree(AT_FDCWD, dir_);
  if (!removed) fmt::print(stderr, "{}\n", removed.error().Message());
}

std::optional<Failure> Session::Remount() {
  Op release;
  release.kind = OpKind::kRemount;
  auto released = crew_->DoByAll(release);
  if (!released) return Failure{"release: " + released.error().Message()};
  model_.Apply(release, Reply());
  listings_.OnRemount();
  auto done = mount_->Unmount();
  if (done) done = mount_->Mount();
  if (!done) return Failure{"remount: " + done.error().Message()};
  comparison_.Remounted();
  return std::nullopt;
}

// The caches of the mount: pages of open files, then all names and inodes that nobody uses. Or
// those of the whole host, which takes much longer and hits whoever else is on it.
std::optional<Failure> Session::Drop(const Op& op) {
  auto told = crew_->DoByAll(op);
  if (!told) return Failure{"drop: " + told.error().Message()};
  if (auto done = mount_->DropCaches(); !done) return Failure{"drop: " + done.error().Message()};
  comparison_.Dropped();
  if (op.flags == kDropMount || !options_.drop_caches) return std::nullopt;
  // Not an error where it may not be written.
  UniqueFd fd(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  if (fd && write(fd.get(), "3", 1) != 1) return Failure{"drop: drop_caches failed"};
  return std::nullopt;
}

std::optional<Failure> Session::Step(const Op& op) {
  if (op.kind < OpKind::kCheck) return StepOnWorkers(op);
  coverage_.Count(op, 0, true);
  if (op.kind == OpKind::kDrop) return Drop(op);
  if (op.kind == OpKind::kRemount) return Remount();
  auto difference = comparison_.Trees(model_, op.flags == kCheckAll);
  return difference ? std::optional(Failure{*difference}) : std::nullopt;
}

std::optional<Failure> Session::StepOnWorkers(const Op& op) {
  auto failure = [&](const std::string& what) {
    size_t colon = what.find(':');
    return Failure{fmt::format("{} {}: {}", OpName(op.kind), what.substr(0, colon),
                               colon == what.npos ? "" : what.substr(colon + 2))};
  };
  if (model_.LeavesTree(op)) return std::nullopt;
  uint32_t states = Coverage::StatesOf(model_, op);
  if (MustFailOnMount(model_, op)) {
    auto reply = crew_->DoOnMount(op);
    if (!reply) return failure("no answer: " + reply.error().Message());
    if (reply->error == 0) return failure("error: succeeds, and must not");
    coverage_.Count(op, states, false);
    return std::nullopt;
  }
  auto answered = crew_->Do(op);
  if (!answered) return failure("no answer: " + answered.error().Message());
  const std::array<Reply, kSides>& replies = *answered;
  coverage_.Count(op, states, replies[0].error == 0);
  NodePtr target = model_.TargetOf(op).node;
  Model::Applied applied = model_.Apply(op, replies[0]);
  if (options_.trace) {
    fmt::print("ino={} error={} value={} {}\n", applied.node ? applied.node->ino : 0,
               replies[0].error, replies[0].value, ToText(op));
  }
  auto difference = comparison_.AfterOp(op, target.get(), applied, replies[0], replies[1]);
  if (difference) return failure(*difference);
  for (size_t side : {kPlain, kMount}) {
    if (op.kind == OpKind::kSeekdir) listings_.OnSeekdir(op, side, replies[side]);
    if (op.kind != OpKind::kReaddir) continue;
    if (auto wrong = listings_.OnReaddir(op, side, replies[side])) {
      return failure(fmt::format("{} side: {}", side == kPlain ? "plain" : "mount", *wrong));
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
        comparison_.MappingWrote(node->ino);
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
  check.flags = kCheckTouched;
  if (auto failure = Step(check)) return failure;
  if (auto failure = Remount()) return failure;
  check.flags = kCheckAll;
  if (auto failure = Step(check)) return failure;
  crew_.reset();
  auto done = mount_->Unmount();
  if (!done) return Failure{"unmount: " + done.error().Message()};
  done = lower_.CheckUnchanged(false);
  if (!done) return Failure{"lower: " + done.error().Message()};
  return std::nullopt;
}

}  // namespace veneer::differential
