#include "tools/build/copy/mode_change.h"

#include <sys/stat.h>

#include "tools/build/language/copy_rules.h"
#include "tools/build/language/go_number.h"

namespace veneer::build {
namespace {

constexpr uint32_t kUser = S_ISUID | S_IRWXU;
constexpr uint32_t kGroup = S_ISGID | S_IRWXG;
constexpr uint32_t kOther = S_IRWXO;
constexpr uint32_t kAll = kUser | kGroup | kOther;
constexpr uint32_t kPermissions = 07777;
constexpr uint32_t kAnyExecute = 0111;

// The triads that `copied` names, each in all three places.
uint32_t Copies(uint32_t mode, uint32_t copied) {
  uint32_t triad = 0;
  if (copied & S_IRWXU) triad |= (mode & S_IRWXU) >> 6;
  if (copied & S_IRWXG) triad |= (mode & S_IRWXG) >> 3;
  if (copied & S_IRWXO) triad |= mode & S_IRWXO;
  return triad << 6 | triad << 3 | triad;
}

}  // namespace

Result<ModeChange> ModeChange::Parse(std::string_view text) {
  TRY(CheckChmod(text));
  ModeChange change;
  change.absolute_ = ParseUint32(text, 8);
  if (change.absolute_) return change;
  while (true) {
    uint32_t who = 0;
    for (; !text.empty(); text.remove_prefix(1)) {
      const char c = text.front();
      if (c == 'a') {
        who |= kAll;
      } else if (c == 'u') {
        who |= kUser;
      } else if (c == 'g') {
        who |= kGroup;
      } else if (c == 'o') {
        who |= kOther;
      } else {
        break;
      }
    }
    while (!text.empty() && text.front() != ',') ReadAction(text, who, change.actions_);
    if (text.empty()) return change;
    text.remove_prefix(1);
  }
}

// REQUIRES: `text` begins with an operator, as CheckChmod saw.
void ModeChange::ReadAction(std::string_view& text, uint32_t who, std::vector<Action>& actions) {
  Action action;
  action.who = who == 0 ? kAll : who;
  action.op = text.front();
  text.remove_prefix(1);
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text.front();
    const bool for_others_only = (action.who & ~kOther) == 0;
    if (c == 'u') {
      action.copied |= S_IRWXU;
    } else if (c == 'g') {
      action.copied |= S_IRWXG;
    } else if (c == 'o') {
      action.copied |= S_IRWXO;
    } else if (std::string_view("rwxXst").contains(c)) {
      action.any_plain = true;
      if (c == 'r') action.bits |= 0444;
      if (c == 'w') action.bits |= 0222;
      if (c == 'x') action.bits |= kAnyExecute;
      if (c == 'X') action.search = true;
      if (c == 's' && !for_others_only) action.bits |= S_ISUID | S_ISGID;
      if (c == 't' && !for_others_only) {
        action.who |= S_ISVTX;
        action.bits |= S_ISVTX;
      }
    } else {
      break;
    }
  }
  actions.push_back(action);
}

uint32_t ModeChange::Apply(uint32_t mode) const {
  const uint32_t type = mode & ~kPermissions;
  if (absolute_) return type | *absolute_;
  const bool may_search = S_ISDIR(mode) || (mode & kAnyExecute) != 0;
  uint32_t changed = mode & kPermissions;
  for (const Action& action : actions_) {
    uint32_t value = action.bits | Copies(changed, action.copied);
    // Taking X away means nothing.
    if (action.search && may_search && action.op != '-') value |= kAnyExecute;
    value &= action.who;
    if (action.op == '-') {
      changed &= ~value;
      continue;
    }
    if (action.op == '=') {
      // Copying a class alone leaves the set-id bits as they are.
      const bool only_copies = action.copied != 0 && !action.any_plain;
      changed &= ~(only_copies ? action.who & 0777u : action.who);
    }
    changed |= value;
  }
  return type | changed;
}

}  // namespace veneer::build
