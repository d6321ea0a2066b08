// Docker's seccomp profile, as the runtimes read it.
#include "tools/build/run/seccomp_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/build/run/capabilities.h"
#include "tools/build/run/seccomp_filter.h"

namespace veneer::build {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;

// The entries that name a call.
std::vector<Json> EntriesOf(const Json& profile, const std::string& call) {
  std::vector<Json> out;
  for (const Json& entry : profile["syscalls"]) {
    for (const Json& name : entry["names"]) {
      if (name == call) out.push_back(entry);
    }
  }
  return out;
}

bool Allows(const Json& profile, const std::string& call) {
  const std::vector<Json> entries = EntriesOf(profile, call);
  return entries.size() == 1 && entries[0]["action"] == "SCMP_ACT_ALLOW" &&
         !entries[0].contains("args");
}

TEST(SeccompProfile, RefusesWhatIsNotListed) {
  const Json profile = SeccompProfile("x86_64", DefaultCapabilities());
  EXPECT_EQ(profile["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile["defaultErrnoRet"], 1);
  for (const char* call : {"read", "openat", "execve", "ptrace", "chroot", "futex_waitv", "mknod"})
    EXPECT_TRUE(Allows(profile, call)) << call;
  for (const char* call : {"mount", "unshare", "keyctl", "bpf", "io_uring_setup", "kexec_load",
                           "pivot_root", "userfaultfd", "reboot", "open_by_handle_at", "setns"}) {
    EXPECT_TRUE(EntriesOf(profile, call).empty()) << call;
  }
}

TEST(SeccompProfile, NamesAreWordsAndUnconditionalOnce) {
  const Json profile = SeccompProfile("x86_64", DefaultCapabilities());
  std::map<std::string, int> unconditional;
  for (const Json& entry : profile["syscalls"]) {
    ASSERT_FALSE(entry["names"].empty());
    for (const Json& name : entry["names"]) {
      const auto text = name.get<std::string>();
      EXPECT_FALSE(text.empty());
      EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"), text.npos) << text;
      if (!entry.contains("args")) ++unconditional[text];
    }
  }
  for (const auto& [name, count] : unconditional) EXPECT_EQ(count, 1) << name;
  EXPECT_GT(unconditional.size(), 350U);
}

TEST(SeccompProfile, NewNamespacesAreRefused) {
  const Json profile = SeccompProfile("x86_64", DefaultCapabilities());
  const std::vector<Json> clone = EntriesOf(profile, "clone");
  ASSERT_EQ(clone.size(), 1U);
  EXPECT_EQ(clone[0]["args"], Json::parse(R"([{"index": 0, "value": 2114060288, "valueTwo": 0,
                                               "op": "SCMP_CMP_MASKED_EQ"}])"));
  const std::vector<Json> clone3 = EntriesOf(profile, "clone3");
  ASSERT_EQ(clone3.size(), 1U);
  EXPECT_EQ(clone3[0]["action"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(clone3[0]["errnoRet"], 38);
  EXPECT_EQ(EntriesOf(SeccompProfile("s390x", {}), "clone")[0]["args"][0]["index"], 1);
}

TEST(SeccompProfile, SocketsOfSomeFamiliesAreRefused) {
  const Json profile = SeccompProfile("x86_64", DefaultCapabilities());
  std::set<int> equal;
  int below = 0;
  for (const Json& entry : EntriesOf(profile, "socket")) {
    ASSERT_EQ(entry["args"].size(), 1U);
    EXPECT_EQ(entry["args"][0]["index"], 0);
    const int value = entry["args"][0]["value"];
    if (entry["args"][0]["op"] == "SCMP_CMP_LT") {
      below = value;
    } else {
      equal.insert(value);
    }
  }
  EXPECT_EQ(below, 12);  // all that are older than DECnet
  EXPECT_TRUE(equal.contains(16) && equal.contains(17) && equal.contains(45));
  for (const int refused : {12, 38 /* ALG */, 40 /* VSOCK */})
    EXPECT_FALSE(equal.contains(refused));
}

TEST(SeccompProfile, CapabilitiesBringTheirCalls) {
  const Json all = SeccompProfile("x86_64", {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME"});
  for (const char* call : {"mount", "clone", "clone3", "kcmp", "clock_settime", "setns"})
    EXPECT_TRUE(Allows(all, call)) << call;
  EXPECT_TRUE(EntriesOf(all, "chroot").empty());
}

TEST(SeccompProfile, MachinesDiffer) {
  const Json x86 = SeccompProfile("x86_64", {}), arm = SeccompProfile("aarch64", {});
  EXPECT_THAT(x86["architectures"],
              ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
  EXPECT_THAT(arm["architectures"], ElementsAre("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"));
  EXPECT_TRUE(Allows(x86, "arch_prctl"));
  EXPECT_TRUE(EntriesOf(arm, "arch_prctl").empty());
  EXPECT_TRUE(Allows(arm, "set_tls"));
  EXPECT_FALSE(SeccompProfile("unheard_of", {}).contains("architectures"));
}

TEST(SeccompProfile, CompilesToAFilterThatTheKernelTakes) {
  const auto filter = CompileSeccomp(DefaultSeccompProfile());
  ASSERT_TRUE(filter) << filter.error().Message();
  ASSERT_EQ(filter->size() % sizeof(sock_filter), 0U);
  EXPECT_EQ(filter->size(), CompileSeccomp(DefaultSeccompProfile())->size());
  // Whether calls fail, and how, in a process with the filter.
  const pid_t child = fork();
  if (child == 0) {
    std::vector<sock_filter> code(filter->size() / sizeof(sock_filter));
    std::memcpy(code.data(), filter->data(), filter->size());
    const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      _exit(1);
    }
    if (getppid() <= 0) _exit(2);
    if (syscall(SYS_unshare, 0) == 0 || errno != EPERM) _exit(3);
    if (syscall(SYS_clone3, nullptr, 0) == 0 || errno != ENOSYS) _exit(4);
    if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >= 0 || errno != EPERM) _exit(5);
    if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 || errno != EPERM) _exit(6);
    if (socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0 || errno != EPERM) _exit(7);
    if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 0) < 0) _exit(8);
    if (syscall(SYS_personality, 0xffffffff) < 0 || syscall(SYS_personality, 0x0400000) >= 0)
      _exit(9);
    if (syscall(SYS_chroot, "/nowhere") == 0 || errno != ENOENT) _exit(10);
    const pid_t own = fork();
    if (own == 0) _exit(0);
    _exit(own > 0 && waitpid(own, nullptr, 0) == own ? 0 : 11);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "exit status " << WEXITSTATUS(status);
}

}  // namespace
}  // namespace veneer::build
