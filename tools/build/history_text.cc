#include "tools/build/history_text.h"

#include <fmt/format.h>

#include "tools/go_value.h"

namespace veneer::build::history {
namespace {

std::string Copied(std::string text, const auto& copy) {
  if (!copy.chown.empty()) text += " --chown=" + copy.chown;
  if (!copy.chmod.empty()) text += " --chmod=" + copy.chmod;
  for (const std::string& source : copy.sources) text += " " + source;
  for (const HeredocSource& heredoc : copy.heredocs) text += " <<" + heredoc.path;
  return text + " " + copy.destination;
}

// time.Duration's String(): 1m30s, 500ms.
std::string GoDuration(std::chrono::nanoseconds value) {
  const int64_t nanos = value.count();
  if (nanos == 0) return "0s";
  const auto decimal = [](int64_t amount, int64_t unit, const char* name) {
    std::string fraction = fmt::format("{:0{}}", amount % unit, std::to_string(unit).size() - 1);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    return std::to_string(amount / unit) + (fraction.empty() ? "" : "." + fraction) + name;
  };
  constexpr int64_t kMicro = 1000, kMilli = 1000 * kMicro, kSecond = 1000 * kMilli;
  constexpr int64_t kMinute = 60 * kSecond, kHour = 60 * kMinute;
  if (nanos < kMicro) return std::to_string(nanos) + "ns";
  if (nanos < kMilli) return decimal(nanos, kMicro, "µs");
  if (nanos < kSecond) return decimal(nanos, kMilli, "ms");
  std::string text;
  if (nanos >= kHour) text += std::to_string(nanos / kHour) + "h";
  if (nanos >= kMinute) text += std::to_string(nanos % kHour / kMinute) + "m";
  return text + decimal(nanos % kMinute, kSecond, "s");
}

}  // namespace

std::string Text(const AddInstruction& add) { return Copied("ADD", add); }

std::string Text(const CopyInstruction& copy) {
  return Copied(copy.parents ? "COPY --parents" : "COPY", copy);
}

std::string Text(const ArgInstruction& arg) {
  std::string text = "ARG";
  for (const ArgInstruction::Arg& one : arg.args)
    text += " " + one.name + (one.value ? "=" + *one.value : "");
  return text;
}

std::string Text(const ExposeInstruction& expose) { return Listed("EXPOSE", expose.ports); }

std::string Text(const HealthcheckInstruction& healthcheck) {
  std::string words;
  for (const std::string& word : healthcheck.test)
    words += (words.empty() ? "" : " ") + tools::GoQuote(word);
  const auto quoted = [](std::chrono::nanoseconds value) {
    return tools::GoQuote(GoDuration(value));
  };
  // The retries come out as the character with that number.
  std::string retries;
  if (healthcheck.retries >= ' ' && healthcheck.retries < 0x7f) {
    retries = std::string(1, static_cast<char>(healthcheck.retries));
  } else {
    retries = fmt::format("\\x{:02x}", healthcheck.retries);
  }
  return fmt::format("HEALTHCHECK &{{[{}] {} {} {} {} '{}'}}", words, quoted(healthcheck.interval),
                     quoted(healthcheck.timeout), quoted(healthcheck.start_period),
                     quoted(healthcheck.start_interval), retries);
}

std::string RunText(std::span<const std::string> words, std::span<const std::string> args) {
  std::string text = "RUN";
  if (!args.empty()) text += fmt::format(" |{}", args.size());
  for (const std::string& arg : args) text += " " + arg;
  for (const std::string& word : words) text += " " + word;
  return text;
}

std::string Pairs(std::string_view keyword, std::span<const NameValue> pairs) {
  std::string text(keyword);
  for (const NameValue& pair : pairs) text += " " + pair.name + "=" + pair.value;
  return text;
}

std::string Quoted(std::string_view keyword, std::span<const std::string> words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : " ") + tools::GoQuote(word);
  return fmt::format("{} [{}]", keyword, list);
}

std::string Listed(std::string_view keyword, std::span<const std::string> words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : " ") + word;
  return fmt::format("{} [{}]", keyword, list);
}

}  // namespace veneer::build::history
