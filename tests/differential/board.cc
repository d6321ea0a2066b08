#include "tests/differential/board.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <type_traits>

namespace veneer::differential {

namespace {

using Word = std::atomic<uint32_t>;
static_assert(sizeof(Word) == sizeof(uint32_t) && Word::is_always_lock_free);

constexpr size_t kMaxText = 48 << 10;

// Everything of an operation but its names; those stand one behind the other in Box::text.
struct OpHead {
  OpKind kind;
  int worker, at, slot, slot2;
  int64_t off, off2, len;
  uint32_t flags, mode, value;
  std::array<uint32_t, 3> lengths;
};
struct ReplyHead {
  int error;
  int64_t value;
  uint64_t hash;
  FileStat st;
  uint32_t length;
};
static_assert(std::is_trivially_copyable_v<OpHead> && std::is_trivially_copyable_v<ReplyHead>);

bool Wait(Word& word, uint32_t while_it_is, const struct timespec* timeout) {
  return syscall(SYS_futex, &word, FUTEX_WAIT, while_it_is, timeout, nullptr, 0) == 0 ||
         errno != ETIMEDOUT;
}

void Wake(Word& word) { syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

}  // namespace

struct Board::Box {
  Word asked;     // operations so far
  Word answered;  // the same as `asked`: nothing to do
  OpHead op;
  ReplyHead reply;
  std::array<char, kMaxText> text;  // of the operation, then of the reply
};

struct Board::Memory {
  alignas(64) Word pending;  // answers that are still to come
  std::array<std::array<Box, kWorkers>, kSides> boxes;
};

Board::Box& Board::BoxOf(Post post) const {
  return memory_->boxes[post.side][static_cast<size_t>(post.worker)];
}

Result<std::unique_ptr<Board>> Board::Make() {
  void* memory =
      mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Errno("mmap");
  return std::unique_ptr<Board>(new Board(static_cast<Memory*>(memory)));  // zeros will do
}

Board::~Board() { munmap(memory_, sizeof(Memory)); }

Result<> Board::PutUp(Post post, const Op& op) {
  Box& box = BoxOf(post);
  const std::array<const std::string*, 3> names = {&op.path, &op.path2, &op.name};
  OpHead& head = box.op;
  head = {op.kind, op.worker, op.at,    op.slot, op.slot2, op.off,
          op.off2, op.len,    op.flags, op.mode, op.value, {}};
  size_t at = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    if (at + names[i]->size() > box.text.size()) return Fail(EMSGSIZE, "an operation's names");
    head.lengths[i] = static_cast<uint32_t>(names[i]->size());
    std::memcpy(box.text.data() + at, names[i]->data(), names[i]->size());
    at += names[i]->size();
  }
  memory_->pending.fetch_add(1);
  box.asked.fetch_add(1);
  return {};
}

void Board::Begin() {
  // The mount's side first: it has the longer way to go.
  for (size_t side : {kMount, kPlain}) {
    for (Box& box : memory_->boxes[side]) {
      if (box.asked != box.answered) Wake(box.asked);
    }
  }
}

bool Board::AwaitAnswers(std::chrono::milliseconds timeout) {
  auto end = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    uint32_t pending = memory_->pending;
    if (pending == 0) return true;
    auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    struct timespec time = {.tv_sec = left.count() / 1'000'000'000,
                            .tv_nsec = left.count() % 1'000'000'000};
    Wait(memory_->pending, pending, &time);
  }
}

bool Board::Answered(Post post) const {
  const Box& box = BoxOf(post);
  return box.asked == box.answered;
}

Reply Board::Answer(Post post) const {
  const Box& box = BoxOf(post);
  const ReplyHead& head = box.reply;
  return {.error = head.error,
          .value = head.value,
          .hash = head.hash,
          .st = head.st,
          .payload = std::string(box.text.data(), head.length)};
}

Op Board::AwaitOp(Post post) {
  Box& box = BoxOf(post);
  for (;;) {
    uint32_t asked = box.asked;
    if (asked != box.answered) break;
    Wait(box.asked, asked, nullptr);
  }
  const OpHead& head = box.op;
  Op op = {.kind = head.kind,
           .worker = head.worker,
           .at = head.at,
           .slot = head.slot,
           .slot2 = head.slot2,
           .off = head.off,
           .off2 = head.off2,
           .len = head.len,
           .flags = head.flags,
           .mode = head.mode,
           .value = head.value};
  const char* text = box.text.data();
  size_t i = 0;
  for (std::string* name : {&op.path, &op.path2, &op.name}) {
    name->assign(text, head.lengths[i]);
    text += head.lengths[i++];
  }
  return op;
}

void Board::PutAnswer(Post post, const Reply& reply) {
  Box& box = BoxOf(post);
  auto length = static_cast<uint32_t>(std::min(reply.payload.size(), box.text.size()));
  box.reply = {reply.error, reply.value, reply.hash, reply.st, length};
  std::memcpy(box.text.data(), reply.payload.data(), length);
  box.answered = box.asked.load();
  if (memory_->pending.fetch_sub(1) == 1) Wake(memory_->pending);
}

}  // namespace veneer::differential
