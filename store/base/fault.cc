#include "store/base/fault.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "store/base/mutex.h"

namespace veneer {
namespace {

struct Action {
  enum class Kind { kKill, kError, kDelay } kind = Kind::kKill;
  int error = 0;     // errno, for kError
  int delay_ms = 0;  // for kDelay
  int fire_on = 1;   // the passage, from 1, on which it fires
  int passages = 0;
};

Mutex mu;
std::map<std::string, Action, std::less<>>& Points() {
  static auto* points = new std::map<std::string, Action, std::less<>>();
  return *points;
}

Result<int> ParseNumber(std::string_view text) {
  int value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < 0) {
    return Invalid("fault points: '" + std::string(text) + "' is not a number");
  }
  return value;
}

Result<int> ParseErrno(std::string_view name) {
  if (name == "EIO") return EIO;
  if (name == "ENOSPC") return ENOSPC;
  if (name == "ENOMEM") return ENOMEM;
  if (name == "EINTR") return EINTR;
  if (name == "EMLINK") return EMLINK;
  return Invalid("fault points: unknown errno '" + std::string(name) + "'");
}

Result<Action> ParseAction(std::string_view text) {
  Action action;
  if (size_t at = text.rfind('@'); at != text.npos) {
    TRY_ASSIGN(action.fire_on, ParseNumber(text.substr(at + 1)));
    text = text.substr(0, at);
  }
  std::string_view verb = text.substr(0, text.find(':'));
  std::string_view argument = verb.size() < text.size() ? text.substr(verb.size() + 1) : "";
  if (verb == "kill") {
    action.kind = Action::Kind::kKill;
  } else if (verb == "error") {
    action.kind = Action::Kind::kError;
    TRY_ASSIGN(action.error, ParseErrno(argument));
  } else if (verb == "delay") {
    action.kind = Action::Kind::kDelay;
    TRY_ASSIGN(action.delay_ms, ParseNumber(argument));
  } else {
    return Invalid("fault points: unknown action '" + std::string(text) + "'");
  }
  return action;
}

// Arms from the environment before main() runs, so that no point is passed unarmed.
const bool from_environment = [] {
  if (const char* spec = std::getenv("VENEER_FAULTS")) {
    if (auto armed = ArmFaults(spec); !armed) {
      std::fprintf(stderr, "veneer: VENEER_FAULTS: %s\n", armed.error().Message().c_str());
      _exit(125);
    }
  }
  return true;
}();

}  // namespace

namespace fault_internal {

std::atomic<bool> armed{false};

Result<> Hit(std::string_view point) {
  Action action;
  {
    MutexLock lock(mu);
    auto it = Points().find(point);
    if (it == Points().end()) return {};
    int passage = ++it->second.passages;
    bool every = it->second.kind == Action::Kind::kDelay;
    if (every ? passage < it->second.fire_on : passage != it->second.fire_on) return {};
    action = it->second;
  }
  switch (action.kind) {
    case Action::Kind::kKill:
      kill(getpid(), SIGKILL);
      pause();
      break;
    case Action::Kind::kError:
      return Fail(action.error, "fault point " + std::string(point));
    case Action::Kind::kDelay:
      std::this_thread::sleep_for(std::chrono::milliseconds(action.delay_ms));
      break;
  }
  return {};
}

}  // namespace fault_internal

Result<> ArmFaults(std::string_view spec) {
  std::map<std::string, Action, std::less<>> points;
  while (!spec.empty()) {
    std::string_view item = spec.substr(0, spec.find(';'));
    spec.remove_prefix(std::min(spec.size(), item.size() + 1));
    if (item.empty()) continue;
    size_t eq = item.find('=');
    if (eq == item.npos) return Invalid("fault points: '" + std::string(item) + "' has no action");
    TRY_ASSIGN(Action action, ParseAction(item.substr(eq + 1)));
    points[std::string(item.substr(0, eq))] = action;
  }
  MutexLock lock(mu);
  Points() = std::move(points);
  fault_internal::armed = !Points().empty();
  return {};
}

}  // namespace veneer
