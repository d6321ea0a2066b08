#include "tools/inspect_zeros.h"

namespace veneer::tools {
namespace {

// container.Config of Docker's API.
Json ConfigZeros() {
  const Json list = Json::array(), map = Json::object();
  return {{"Hostname", ""},
          {"Domainname", ""},
          {"User", ""},
          {"AttachStdin", false},
          {"AttachStdout", false},
          {"AttachStderr", false},
          {"ExposedPorts", map},
          {"Tty", false},
          {"OpenStdin", false},
          {"StdinOnce", false},
          {"Env", list},
          {"Cmd", list},
          {"Healthcheck", nullptr},
          {"ArgsEscaped", false},
          {"Image", ""},
          {"Volumes", map},
          {"WorkingDir", ""},
          {"Entrypoint", list},
          {"NetworkDisabled", false},
          {"MacAddress", ""},
          {"OnBuild", list},
          {"Labels", map},
          {"StopSignal", ""},
          {"StopTimeout", nullptr},
          {"Shell", list}};
}

}  // namespace

const Json& ImageZeros() {
  static const Json zeros = {{"Variant", ""}, {"OsVersion", ""}, {"Config", ConfigZeros()}};
  return zeros;
}

const Json& ContainerZeros() {
  static const Json zeros = {{"Config", ConfigZeros()}};
  return zeros;
}

}  // namespace veneer::tools
