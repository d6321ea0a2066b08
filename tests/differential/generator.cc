#include "tests/differential/generator.h"

namespace veneer::differential {

namespace {

struct Weight {
  OpKind kind;
  unsigned weight;
};
constexpr Weight kWeights[] = {
    {OpKind::kStat, 20},      {OpKind::kAccess, 5},    {OpKind::kOpen, 90},
    {OpKind::kTmpFile, 8},    {OpKind::kLinkTmp, 6},   {OpKind::kMkdir, 30},
    {OpKind::kRmdir, 14},     {OpKind::kUnlink, 40},   {OpKind::kRename, 60},
    {OpKind::kLink, 22},      {OpKind::kSymlink, 10},  {OpKind::kReadlink, 5},
    {OpKind::kMknod, 10},     {OpKind::kChmod, 22},    {OpKind::kChown, 14},
    {OpKind::kUtimens, 24},   {OpKind::kTruncate, 14}, {OpKind::kSetXattr, 16},
    {OpKind::kGetXattr, 10},  {OpKind::kListXattr, 6}, {OpKind::kRemoveXattr, 8},
    {OpKind::kReadFile, 30},  {OpKind::kClose, 30},    {OpKind::kFstat, 10},
    {OpKind::kFchmod, 8},     {OpKind::kFchown, 5},    {OpKind::kFutimens, 10},
    {OpKind::kFtruncate, 14}, {OpKind::kFsetXattr, 5}, {OpKind::kPread, 50},
    {OpKind::kPwrite, 60},    {OpKind::kRead, 14},     {OpKind::kWrite, 22},
    {OpKind::kFallocate, 16}, {OpKind::kSeek, 10},     {OpKind::kCopyRange, 10},
    {OpKind::kFsync, 2},      {OpKind::kAdvise, 8},    {OpKind::kFlock, 8},
    {OpKind::kLock, 10},      {OpKind::kGetLock, 5},   {OpKind::kReaddir, 40},
    {OpKind::kSeekdir, 8},    {OpKind::kMmap, 16},     {OpKind::kMread, 25},
    {OpKind::kMwrite, 25},    {OpKind::kMsync, 8},     {OpKind::kMunmap, 6},
};

constexpr unsigned TotalWeight() {
  unsigned total = 0;
  for (const Weight& each : kWeights) total += each.weight;
  return total;
}

}  // namespace

Op Generator::Next() {
  Op op;
  op.kind = OpKind::kCheck;
  constexpr unsigned kAllContent = 10;  // percent; the end of a run compares all of it too
  op.flags = random_.Chance(kAllContent) ? kCheckAll : kCheckTouched;
  if (random_.Below(pace_.check) == 0) return op;
  op.flags = 0;
  op.kind = OpKind::kRemount;
  if (random_.Below(pace_.remount) == 0) return op;
  op.kind = OpKind::kDrop;
  op.flags = kDropMount;
  if (random_.Below(pace_.drop) == 0) return op;
  op.flags = kDropHost;
  if (random_.Below(pace_.drop_host) == 0) return op;
  for (;;) {
    auto dice = static_cast<unsigned>(random_.Below(TotalWeight()));
    const Weight* each = kWeights;
    while (dice >= each->weight) dice -= (each++)->weight;
    OpKind kind = each->kind;
    // The tree stays about as large as it began.
    size_t count = model_.names().size();
    bool makes = kind == OpKind::kMkdir || kind == OpKind::kLink || kind == OpKind::kMknod ||
                 kind == OpKind::kSymlink || kind == OpKind::kLinkTmp;
    if (makes && count > 350 && random_.Below(count) > 300) kind = OpKind::kUnlink;
    if ((kind == OpKind::kUnlink || kind == OpKind::kRmdir) && count < 250) kind = OpKind::kOpen;
    auto chosen = arguments_.For(kind);
    if (chosen) return *chosen;
  }
}

}  // namespace veneer::differential
