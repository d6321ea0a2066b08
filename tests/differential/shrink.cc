#include "tests/differential/shrink.h"

#include <algorithm>

namespace veneer::differential {

namespace {

Script Without(const Script& script, size_t from, size_t to) {
  Script rest(script.begin(), script.begin() + static_cast<long>(from));
  rest.insert(rest.end(), script.begin() + static_cast<long>(to), script.end());
  return rest;
}

// The same operations with plainer numbers, one by one.
void Simplify(Script& script, const Fails& fails, const std::function<bool()>& more) {
  for (size_t i = 0; i < script.size() && more(); ++i) {
    auto attempt = [&](auto change) {
      Script plainer = script;
      change(plainer[i]);
      if (plainer[i] != script[i] && more() && fails(plainer)) script = std::move(plainer);
    };
    attempt([](Op& op) { op.worker = 0; });
    attempt([](Op& op) { op.off = 0; });
    attempt([](Op& op) { op.len = std::min<int64_t>(op.len, 10); });
    attempt([](Op& op) { op.value = std::min(op.value, 1U); });
  }
}

}  // namespace

Script Shrink(Script script, const Fails& fails, const std::function<bool()>& more) {
  // Chunks from the end first: what came long before the failure goes last, but most of it goes.
  for (size_t chunk = std::max<size_t>(script.size() / 2, 1); more();) {
    bool removed = false;
    for (size_t end = script.size(); end > 0 && more();) {
      size_t from = end > chunk ? end - chunk : 0;
      Script rest = Without(script, from, end);
      if (!rest.empty() && fails(rest)) {
        script = std::move(rest);
        removed = true;
      }
      end = from;
    }
    if (chunk > 1) {
      chunk = std::max<size_t>(chunk / 2, 1);
    } else if (!removed) {
      break;
    }
  }
  Simplify(script, fails, more);
  return script;
}

}  // namespace veneer::differential
