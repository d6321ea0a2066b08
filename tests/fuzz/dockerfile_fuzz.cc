// Any bytes as a Dockerfile, and as its ignore file: warnings and errors, never a crash.
#include <string_view>

#include "tests/fuzz/fuzz_input.h"
#include "tools/build/check.h"
#include "tools/build/language/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parsed = veneer::build::ParseDockerfile(text))
    (void)veneer::build::Dump(parsed->root);
  const size_t half = text.find('\0');
  const std::string_view ignore = half == std::string_view::npos ? text : text.substr(half + 1);
  const auto report = veneer::build::CheckDockerfile(text.substr(0, half), ignore, {});
  (void)veneer::build::FormatWarnings("Dockerfile", text, report);
  return 0;
}
