#include "tools/build/run/seccomp_filter.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

using Json = nlohmann::ordered_json;

// libseccomp's interface (seccomp.h, version 2), which has been the same since 2012.
using Filter = void*;
enum Compare { kLess = 2, kEqual = 4, kMaskedEqual = 7 };
struct Argument {
  unsigned index;
  Compare compare;
  uint64_t first, second;
};
constexpr uint32_t kAllow = 0x7fff0000U, kErrno = 0x00050000U;
constexpr uint32_t kErrnoMask = 0xffff;
constexpr int kNoSuchCall = -1;

struct Library {
  void* handle = nullptr;
  Filter (*init)(uint32_t) = nullptr;
  void (*release)(Filter) = nullptr;
  uint32_t (*arch_resolve_name)(const char*) = nullptr;
  uint32_t (*arch_native)() = nullptr;
  int (*arch_add)(Filter, uint32_t) = nullptr;
  int (*resolve_name)(const char*) = nullptr;
  int (*rule_add)(Filter, uint32_t, int, unsigned, const Argument*) = nullptr;
  int (*export_bpf)(Filter, int) = nullptr;

  Library() = default;
  ~Library() {
    if (handle) dlclose(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  template <typename Function>
  bool Load(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    return function != nullptr;
  }
  bool Open() {
    handle = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
    return handle && Load(init, "seccomp_init") && Load(release, "seccomp_release") &&
           Load(arch_resolve_name, "seccomp_arch_resolve_name") &&
           Load(arch_native, "seccomp_arch_native") && Load(arch_add, "seccomp_arch_add") &&
           Load(resolve_name, "seccomp_syscall_resolve_name") &&
           Load(rule_add, "seccomp_rule_add_array") && Load(export_bpf, "seccomp_export_bpf");
  }
};

std::unexpected<Error> CannotCompile() { return Fail(ENOTSUP, "compile the seccomp profile"); }

uint32_t ErrnoAction(const Json& code) { return kErrno | (code.get<uint32_t>() & kErrnoMask); }

Argument ArgumentOf(const Json& json) {
  const std::string& op = json["op"].get_ref<const std::string&>();
  Argument out{json["index"].get<unsigned>(), kEqual, json["value"].get<uint64_t>(), 0};
  if (op == "SCMP_CMP_LT") out.compare = kLess;
  if (op == "SCMP_CMP_MASKED_EQ") {
    out.compare = kMaskedEqual;
    out.second = json["valueTwo"].get<uint64_t>();
  }
  return out;
}

// "SCMP_ARCH_X86_64" is "x86_64" to the library.
Result<> AddArchitectures(const Library& library, Filter filter, const Json& names) {
  const uint32_t native = library.arch_native();
  for (const Json& name : names) {
    const std::string text = ToLower(name.get<std::string>().substr(sizeof("SCMP_ARCH_") - 1));
    const uint32_t token = library.arch_resolve_name(text.c_str());
    if (token == 0) return CannotCompile();
    if (token != native && library.arch_add(filter, token) != 0) return CannotCompile();
  }
  return {};
}

Result<> AddRules(const Library& library, Filter filter, const Json& entry) {
  const bool allowed = entry["action"] == "SCMP_ACT_ALLOW";
  const uint32_t action = allowed ? kAllow : ErrnoAction(entry["errnoRet"]);
  std::vector<Argument> arguments;
  if (const auto args = entry.find("args"); args != entry.end()) {
    for (const Json& argument : *args) arguments.push_back(ArgumentOf(argument));
  }
  for (const Json& name : entry["names"]) {
    // Calls that this version of the library has not heard of stay refused, as the runtimes have
    // it.
    const int call = library.resolve_name(name.get_ref<const std::string&>().c_str());
    if (call == kNoSuchCall) continue;
    if (library.rule_add(filter, action, call, static_cast<unsigned>(arguments.size()),
                         arguments.data()) != 0) {
      return CannotCompile();
    }
  }
  return {};
}

Result<std::string> Export(const Library& library, Filter filter) {
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return Errno("memfd_create");
  if (library.export_bpf(filter, file.get()) != 0) return CannotCompile();
  struct stat st;
  if (fstat(file.get(), &st) != 0) return Errno("stat");
  std::string out(static_cast<size_t>(st.st_size), '\0');
  TRY_ASSIGN(const size_t n, PreadUpTo(file.get(), out.data(), out.size(), 0));
  if (n == 0 || n != out.size()) return CannotCompile();
  return out;
}

}  // namespace

Result<std::string> CompileSeccomp(const Json& profile) {
  Library library;
  if (!library.Open()) return CannotCompile();
  const std::unique_ptr<void, void (*)(Filter)> filter(
      library.init(ErrnoAction(profile["defaultErrnoRet"])), library.release);
  if (!filter) return CannotCompile();
  if (const auto names = profile.find("architectures"); names != profile.end())
    TRY(AddArchitectures(library, filter.get(), *names));
  for (const Json& entry : profile["syscalls"]) TRY(AddRules(library, filter.get(), entry));
  return Export(library, filter.get());
}

}  // namespace veneer::build
