// The command line of `veneer build`, as it was given, and what its values mean.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/build_session.h"
#include "tools/build/run/run_step.h"

namespace veneer::build {

struct BuildFlags {
  std::string context = ".";
  std::string file;
  std::vector<std::string> tags;
  std::string target;
  std::vector<std::string> platforms;
  std::vector<std::string> build_args;
  std::vector<std::string> labels;
  std::vector<std::string> contexts;
  std::vector<std::string> secrets;
  std::vector<std::string> ssh;
  std::vector<std::string> add_hosts;
  std::vector<std::string> ulimits;
  std::vector<std::string> allow;
  std::vector<std::string> outputs;
  std::vector<std::string> cache_from;
  std::vector<std::string> cache_to;
  std::vector<std::string> no_cache_filter;
  // Those of docker_flags.h, by name where a name is needed.
  std::map<std::string, std::vector<std::string>> attestations, unsupported;
  std::vector<std::string> isolation, ignored;
  std::string call;
  std::string network = "default";
  std::string shm_size;
  std::string iidfile;
  std::string metadata_file;
  std::string progress;
  unsigned jobs = 0;
  bool no_cache = false;
  bool pull = false;
  bool push = false;
  bool squash = false;
  bool quiet = false;
  bool check = false;
  bool print_ast = false;
};

// NAME=VALUE, or NAME alone, which stands for the value in our environment (left out where it has
// none). `option` is for messages.
std::map<std::string, std::string> NamedValues(std::string_view option,
                                               const std::vector<std::string>& texts,
                                               bool from_environment);

// --build-context, by name in lower case: NAME=VALUE alone.
std::map<std::string, std::string> ContextValues(const std::vector<std::string>& texts);

// id=x,src=f | id=x,env=V | id=x; as buildx. Reads the secret. Errors name file or variable.
Result<std::pair<std::string, Secret>> ParseSecret(std::string_view text);

// default | ID=SOCKET | ID=KEY,KEY…; `scratch` is an empty directory, for an agent of ours that
// holds the keys.
Result<std::pair<std::string, SshAgent>> ParseSsh(std::string_view text,
                                                  const std::string& scratch);

// nofile=1024:2048
Result<Ulimit> ParseUlimit(std::string_view text);

// name:address, name=address, [v6] addresses, host-gateway; as "name:address".
Result<std::string> ParseExtraHost(std::string_view text);

// HTTP_PROXY=… and the like, of --build-arg first, then of our environment.
std::vector<std::string> ProxyVariables(const std::map<std::string, std::string>& build_args);

// SOURCE_DATE_EPOCH of --build-arg, else of our environment. EINVAL: no number.
Result<std::optional<int64_t>> SourceDateEpoch(
    const std::map<std::string, std::string>& build_args);

}  // namespace veneer::build
