#include "tools/build/build_flags.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <cstdlib>

#include "store/base/beneath.h"
#include "tools/build/language/csv_fields.h"
#include "tools/build/language/text.h"
#include "tools/build/run/program.h"
#include "tools/context.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

constexpr size_t kLargestSecret = 500 << 10;  // as BuildKit's

std::optional<std::string> Variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IsSocket(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode);
}

// An agent that holds `keys`; it ends with the build's process namespace.
Result<std::string> StartAgent(const std::vector<std::string>& keys, const std::string& scratch) {
  std::string socket = scratch + "/agent";
  TRY(RunQuietly({"ssh-agent", "-a", socket}));
  for (const std::string& key : keys) {
    const Result<> added =
        RunQuietly({"ssh-add", "-q", key}, {"", {"SSH_AUTH_SOCK=" + socket}, {}});
    if (!added) return Invalid("--ssh: " + added.error().Message());
  }
  return socket;
}

}  // namespace

std::map<std::string, std::string> NamedValues(std::string_view option,
                                               const std::vector<std::string>& texts,
                                               bool from_environment) {
  std::map<std::string, std::string> values;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (name.empty())
      throw tools::UsageError(fmt::format("{}: NAME=VALUE expected, not {}", option, text));
    if (equals != std::string::npos) {
      values[name] = text.substr(equals + 1);
    } else if (!from_environment) {
      values[name] = "";
    } else if (const auto value = Variable(name)) {
      values[name] = *value;
    }
  }
  return values;
}

std::map<std::string, std::string> ContextValues(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> values;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw tools::UsageError(fmt::format("--build-context: NAME=VALUE expected, not {}", text));
    values[ToLower(text.substr(0, equals))] = text.substr(equals + 1);
  }
  return values;
}

Result<std::pair<std::string, Secret>> ParseSecret(std::string_view text) {
  std::string id, type;
  std::optional<std::string> source, variable;
  const auto fields = CsvFields(text);
  if (!fields) return Invalid("--secret: " + fields.error().Message());
  for (const std::string& field : *fields) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos)
      return Invalid("--secret: invalid field '" + field + "' must be a key=value pair");
    const std::string key = ToLower(field.substr(0, equals)), value = field.substr(equals + 1);
    if (key == "type") {
      if (value != "file" && value != "env")
        return Invalid("--secret: unsupported secret type " + tools::GoQuote(value));
      type = value;
    } else if (key == "id") {
      id = value;
    } else if (key == "source" || key == "src") {
      source = value;
    } else if (key == "env") {
      variable = value;
    } else {
      return Invalid("--secret: unexpected key '" + key + "' in '" + field + "'");
    }
  }
  if (type == "env" && source && !variable) variable = std::exchange(source, std::nullopt);
  if (id.empty())
    return Invalid("--secret: id= is missing in " + tools::GoQuote(std::string(text)));
  if (!source && !variable) {
    // The id names a variable, if there is one like that, or a file.
    (Variable(id) && type != "file" ? variable : source) = id;
  }
  Secret secret;
  if (variable) {
    secret.content = Variable(*variable).value_or("");
    return std::pair(id, std::move(secret));
  }
  auto content = ReadFileAt(AT_FDCWD, *source, kLargestSecret);
  if (!content) {
    if (content.error().code() == EFBIG)
      return Invalid("--secret: " + *source + " is larger than 500 KiB", EFBIG);
    return Invalid("--secret: cannot read " + *source + ": " + strerror(content.error().code()),
                   content.error().code());
  }
  secret.content = std::move(*content);
  return std::pair(id, std::move(secret));
}

Result<std::pair<std::string, SshAgent>> ParseSsh(std::string_view text,
                                                  const std::string& scratch) {
  const size_t equals = text.find('=');
  std::string id(text.substr(0, equals));
  if (id.empty()) return Invalid("--ssh: an id is missing in " + tools::GoQuote(std::string(text)));
  std::vector<std::string> paths;
  if (equals != std::string_view::npos) paths = Split(text.substr(equals + 1), ',');
  if (paths.empty()) {
    const auto socket = Variable("SSH_AUTH_SOCK");
    if (!socket || socket->empty()) {
      return Invalid("--ssh: no agent for " + id +
                     ": SSH_AUTH_SOCK is not set; start ssh-agent, or give a socket or keys");
    }
    paths.push_back(*socket);
  }
  if (paths.size() == 1 && IsSocket(paths.front())) return std::pair(id, SshAgent{paths.front()});
  TRY_ASSIGN(std::string socket, StartAgent(paths, scratch));
  return std::pair(id, SshAgent{std::move(socket)});
}

Result<Ulimit> ParseUlimit(std::string_view text) {
  constexpr std::array<std::string_view, 15> kNames = {
      "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
      "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return Invalid("invalid ulimit argument: " + std::string(text));
  Ulimit limit;
  limit.name = text.substr(0, equals);
  if (std::ranges::find(kNames, limit.name) == kNames.end())
    return Invalid("invalid ulimit type: " + limit.name);
  const std::string_view values = text.substr(equals + 1);
  const size_t colon = values.find(':');
  const auto soft = ParseNumber<int64_t>(values.substr(0, colon));
  const auto hard =
      colon == std::string_view::npos ? soft : ParseNumber<int64_t>(values.substr(colon + 1));
  if (!soft || !hard || *soft < -1 || *hard < -1)
    return Invalid("invalid ulimit value: " + std::string(text));
  if (*hard != -1 && (*soft == -1 || *soft > *hard)) {
    return Invalid(fmt::format(
        "ulimit soft limit must be less than or equal to hard limit: {} > {}", *soft, *hard));
  }
  limit.soft = *soft;
  limit.hard = *hard;
  return limit;
}

Result<std::string> ParseExtraHost(std::string_view text) {
  const size_t split = text.find('=') != std::string_view::npos ? text.find('=') : text.find(':');
  const std::string name(text.substr(0, split));
  if (split == std::string_view::npos || name.empty())
    return Invalid("bad format for add-host: " + tools::GoQuote(std::string(text)));
  std::string address(text.substr(split + 1));
  if (address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  in6_addr parsed;
  if (address != "host-gateway" && inet_pton(AF_INET, address.c_str(), &parsed) != 1 &&
      inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
    return Invalid("invalid IP address in add-host: " + tools::GoQuote(address));
  }
  return name + ":" + address;
}

std::vector<std::string> ProxyVariables(const std::map<std::string, std::string>& build_args) {
  std::vector<std::string> out;
  for (const char* kind : {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}) {
    for (const std::string& name : {std::string(kind), ToLower(kind)}) {
      const auto given = build_args.find(name);
      const auto value = given != build_args.end() ? std::optional(given->second) : Variable(name);
      if (value && !value->empty()) out.push_back(name + "=" + *value);
    }
  }
  return out;
}

Result<std::optional<int64_t>> SourceDateEpoch(
    const std::map<std::string, std::string>& build_args) {
  const auto given = build_args.find("SOURCE_DATE_EPOCH");
  const auto text =
      given != build_args.end() ? std::optional(given->second) : Variable("SOURCE_DATE_EPOCH");
  if (!text || text->empty()) return std::nullopt;
  const auto seconds = ParseNumber<int64_t>(*text);
  if (!seconds || *seconds < 0) return Invalid("invalid SOURCE_DATE_EPOCH: " + *text);
  return seconds;
}

}  // namespace veneer::build
