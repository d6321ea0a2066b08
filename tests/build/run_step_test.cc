// RUN in a real root filesystem, by the real runtimes.
#include "tools/build/run/run_step.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/build/run_fixture.h"
#include "tools/build/run/device_cage.h"
#include "tools/build/run/hybrid_cgroups.h"

namespace veneer::build {
namespace {

using test::Listing;
using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

constexpr const char* kBusybox = "/bin/busybox";

// The processes that have this text among their words.
std::vector<pid_t> ProcessesWith(const std::string& text) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    if (test::ReadText(entry.path() / "cmdline").find(text) != std::string::npos)
      out.push_back(std::stoi(name));
  }
  return out;
}

// A word that no other process has.
std::string Unique() {
  static std::atomic<int> count = 0;
  return "veneer-test-" + std::to_string(getpid()) + "-" + std::to_string(count++);
}

// A root filesystem of busybox, and what a command in it printed.
class Step {
 public:
  Step() {
    root.Dir("bin");
    root.Dir("tmp");
    std::filesystem::permissions(root.At("tmp"), std::filesystem::perms(01777));
    std::filesystem::copy_file(kBusybox, root.At("bin/busybox"));
    for (const char* name :
         {"cat",   "echo",  "env", "grep",     "head",     "id",  "ls",    "mkdir",
          "mknod", "mount", "pwd", "rm",       "seq",      "sh",  "sleep", "stat",
          "touch", "true",  "wc",  "hostname", "readlink", "ping"}) {
      std::filesystem::create_hard_link(root.At("bin/busybox"),
                                        root.At("bin/" + std::string(name)));
    }
    root.File("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n");
    root.File("etc/group", "root:x:0:\nbin:x:1:root\napp:x:1001:\nvideo:x:27:app\n");
    spec.root = root.path();
  }

  Result<int> Run(const OciRuntime& runtime, const std::string& script,
                  const std::function<bool()>& cancelled = nullptr) {
    return RunWords(runtime, {"/bin/sh", "-c", script}, cancelled);
  }
  Result<int> RunWords(const OciRuntime& runtime, std::vector<std::string> words,
                       const std::function<bool()>& cancelled = nullptr) {
    spec.words = std::move(words);
    spec.scratch = scratch.At(std::to_string(runs++));
    std::filesystem::create_directory(spec.scratch);
    out.clear();
    err.clear();
    order.clear();
    return runtime.Run(
        spec,
        [this](std::string_view text, bool is_stderr) {
          (is_stderr ? err : out) += text;
          order += text;
          if (on_output) on_output();
        },
        cancelled);
  }
  // The runtime's memory of containers.
  bool StateIsEmpty() const {
    const std::string state = spec.scratch + "/state";
    if (!std::filesystem::exists(state)) return true;
    for (const auto& entry : std::filesystem::directory_iterator(state)) {
      if (entry.path().filename().string().starts_with("veneer-")) return false;
    }
    return true;
  }

  test::RunDirectory root, scratch;
  RunSpec spec;
  std::string out, err, order;
  std::function<void()> on_output;
  int runs = 0;
};

class RunStep : public testing::TestWithParam<const char*> {
 protected:
  // A mount namespace, as a build has.
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto hidden = HideUnifiedCgroups();
    ASSERT_TRUE(hidden) << hidden.error().Message();
  }

  void SetUp() override {
    ASSERT_EQ(geteuid(), 0U) << "these tests are root's";
    auto found = OciRuntime::Open(GetParam(), scratch.path());
    ASSERT_TRUE(found) << found.error().Message();
    runtime = std::make_unique<OciRuntime>(std::move(*found));
  }

  // What a script prints; the test fails with the script.
  std::string Of(const std::string& script) {
    const auto status = step.Run(*runtime, script);
    if (!status) return "error: " + status.error().Message();
    EXPECT_EQ(*status, 0) << script << "\n" << step.err;
    return step.out;
  }

  test::RunDirectory scratch;
  std::unique_ptr<OciRuntime> runtime;
  Step step;
};

INSTANTIATE_TEST_SUITE_P(Runtime, RunStep, testing::Values("crun", "runc"),
                         [](const auto& test) { return std::string(test.param); });

TEST(OciRuntimes, OneIsFound) {
  test::RunDirectory scratch;
  const auto runtime = OciRuntime::Find(scratch.path());
  ASSERT_TRUE(runtime) << runtime.error().Message();
  EXPECT_TRUE(runtime->name() == "crun" || runtime->name() == "runc");
  EXPECT_TRUE(runtime->path().ends_with("/" + runtime->name()));
}

TEST(OciRuntimes, WhatIsNotThereIsSaid) {
  test::RunDirectory scratch;
  EXPECT_EQ(OciRuntime::Open("no-such-runtime", scratch.path()).error().Message(),
            "no-such-runtime is not installed");
}

TEST_P(RunStep, TheStatusIsTheCommands) {
  EXPECT_EQ(step.Run(*runtime, "exit 0").value(), 0);
  EXPECT_EQ(step.Run(*runtime, "exit 7").value(), 7);
  EXPECT_EQ(step.Run(*runtime, "exit 255").value(), 255);
  EXPECT_TRUE(step.StateIsEmpty());
}

TEST_P(RunStep, ASignalIsAStatus) {
  const std::string word = Unique();
  std::atomic<bool> started = false;
  std::thread killer([&] {
    const auto until = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < until) {
      // Not before it runs: runc waits for ever for one that is killed while it starts.
      if (std::filesystem::exists(step.root.At("tmp/runs"))) {
        for (const pid_t pid : ProcessesWith(word)) {
          // Process 1 of the container: the runtime has its words in a file.
          kill(pid, SIGKILL);
          started = true;
        }
      }
      if (started) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  const auto status = step.RunWords(
      *runtime,
      {"/bin/sh", "-c", "sleep 0.2; echo >/tmp/runs; while :; do sleep 0.05; done", word});
  killer.join();
  ASSERT_TRUE(status) << status.error().Message();
  EXPECT_EQ(*status, 128 + SIGKILL);
}

TEST_P(RunStep, OutputComesInOrderAndWhole) {
  EXPECT_EQ(step.Run(*runtime,
                     "echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c; sleep 0.1; "
                     "printf d >&2; exit 3")
                .value(),
            3);
  EXPECT_EQ(step.order, "a\nb\nc\nd");
  EXPECT_EQ(step.out, "a\nc\n");
  EXPECT_EQ(step.err, "b\nd");
  ASSERT_EQ(Of("seq 200000; seq 100 >&2").size(), 1288895U);
  EXPECT_TRUE(step.out.ends_with("\n199999\n200000\n"));
  EXPECT_TRUE(step.err.ends_with("\n100\n"));
}

TEST_P(RunStep, StandardInputIsEmpty) {
  EXPECT_EQ(Of("cat; echo end; ls /proc/self/fd | wc -l"), "end\n4\n");
}

TEST_P(RunStep, AProcessLeftBehindEndsWithTheCommand) {
  const std::string word = Unique();
  const auto before = Clock::now();
  EXPECT_EQ(Of("sh -c 'sleep 60; true' " + word + " & echo started"), "started\n");
  EXPECT_LT(Clock::now() - before, std::chrono::seconds(10));
  EXPECT_TRUE(ProcessesWith(word).empty());
}

TEST_P(RunStep, EnvironmentIsTheGivenOneAndDefaults) {
  step.spec.env = {"A=1", "B=x y=z"};
  EXPECT_EQ(Of("echo $A-$B"), "1-x y=z\n");
  EXPECT_EQ(step.RunWords(*runtime, {"/bin/env"}).value(), 0);
  EXPECT_THAT(step.out, HasSubstr("HOME=/root\n"));
  EXPECT_THAT(step.out,
              HasSubstr("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
  step.spec.user = "app";
  step.spec.env = {"PATH=/bin"};
  EXPECT_EQ(Of("echo $HOME $PATH"), "/home/app /bin\n");
  step.spec.env = {"HOME=/elsewhere"};
  EXPECT_EQ(Of("echo $HOME"), "/elsewhere\n");
}

TEST_P(RunStep, UsersAreTheRootFilesystems) {
  EXPECT_EQ(Of("id -u; id -g; id -G"), "0\n0\n0 1\n");
  step.spec.user = "app";
  EXPECT_EQ(Of("id -u; id -g; id -G"), "1000\n1001\n1001 27\n");
  EXPECT_EQ(Of("echo seen >/dev/stdout; echo error >/dev/stderr"), "seen\n");
  EXPECT_EQ(step.err, "error\n");
  step.spec.user = "1234:5678";
  EXPECT_EQ(Of("id -u; id -g; id -G"), "1234\n5678\n5678\n");
  step.spec.user = "nobody";
  EXPECT_EQ(Of("true"), "error: unable to find user nobody: no matching entries in passwd file");
}

TEST_P(RunStep, SecurityIsDockers) {
  EXPECT_EQ(Of("grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' "
               "/proc/self/status"),
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
  step.spec.user = "app";
  EXPECT_EQ(Of("grep CapEff /proc/self/status"), "CapEff:\t0000000000000000\n");
  step.spec.user = "";
  // Masked, read-only, and refused by the profile.
  EXPECT_EQ(Of("head -c 1 /proc/kcore | wc -c; ls -A /sys/firmware | wc -l"), "0\n0\n");
  const std::string mounts = Of("cat /proc/mounts");
  for (const char* path : {"/proc/sys", "/proc/bus", "/proc/irq", "/sys", "/etc/hosts"})
    EXPECT_THAT(mounts, testing::ContainsRegex(" " + std::string(path) + " [^ ]+ ro[, ]")) << path;
  EXPECT_NE(step.Run(*runtime, "mount -t tmpfs none /tmp").value(), 0);
  // Nodes can be made, as in Docker, but only those of harmless devices opened (1:11 is kmsg).
  EXPECT_EQ(Of("mknod /tmp/null c 1 3 && echo x >/tmp/null && mknod /tmp/kmsg c 1 11; "
               "mknod /tmp/disk b 8 0 && ls /tmp"),
            "disk\nkmsg\nnull\n");
  EXPECT_EQ(step.Run(*runtime, "exec 3>/tmp/kmsg").value(), 1);
  EXPECT_THAT(step.err, HasSubstr("Operation not permitted"));
  EXPECT_EQ(Of("ls /dev | grep -vE '^(core|console|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|"
               "stdin|stdout|tty|urandom|zero)$' || true"),
            "");
  EXPECT_EQ(
      Of("for d in full null ptmx random tty urandom zero; do test -c /dev/$d || echo $d; done"),
      "");
}

TEST_P(RunStep, InsecureHasAllCapabilitiesAndNoProfile) {
  step.spec.insecure = true;
  const std::string ours = test::ReadText("/proc/self/status");
  const size_t bounding = ours.find("CapBnd:");
  const std::string all = ours.substr(bounding + 8, 16);
  EXPECT_EQ(Of("grep -E '^(CapEff|Seccomp):' /proc/self/status"),
            "CapEff:\t" + all + "\nSeccomp:\t0\n");
  EXPECT_EQ(Of("mount -t tmpfs none /tmp && touch /tmp/x && ls /tmp"), "x\n");
  const std::string mounts = Of("cat /proc/mounts");
  EXPECT_THAT(mounts, testing::ContainsRegex(" /sys [^ ]+ rw"));
  EXPECT_THAT(mounts, Not(HasSubstr(" /proc/kcore ")));
}

TEST_P(RunStep, HostsAndServersAreSeenAndNotLeft) {
  step.spec.extra_hosts = {"db:10.1.2.3"};
  test::MakeOld(step.root.path());
  const std::string before = Listing(step.root.path());
  const std::string seen = Of("cat /etc/hosts; hostname; cat /etc/resolv.conf");
  EXPECT_TRUE(
      seen.starts_with("127.0.0.1\tlocalhost buildkitsandbox\n"
                       "::1\tlocalhost ip6-localhost ip6-loopback\n"
                       "10.1.2.3\tdb\nbuildkitsandbox\n"))
      << seen;
  EXPECT_THAT(seen, HasSubstr("nameserver "));
  EXPECT_NE(step.Run(*runtime, "echo mine >/etc/hosts").value(), 0);
  EXPECT_EQ(Listing(step.root.path()), before);
}

TEST_P(RunStep, NothingIsLeftInTheRootFilesystem) {
  std::filesystem::remove_all(step.root.At("etc"));
  step.root.Dir("etc");
  step.root.Link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
  test::MakeOld(step.root.path());
  const std::string before = Listing(step.root.path());
  step.spec.mounts = {{StepMount::Kind::kTmpfs, "", "/made/here", false},
                      {StepMount::Kind::kBind, "/bin/busybox", "/made/file"}};
  EXPECT_EQ(Of("test -d /made/here && test -s /made/file && test -s /etc/resolv.conf && echo yes"),
            "yes\n");
  EXPECT_EQ(Listing(step.root.path()), before);
  EXPECT_NE(step.Run(*runtime, "exit 9").value(), 0);
  EXPECT_EQ(Listing(step.root.path()), before);
  // What the command does is its own.
  Of("touch /etc/new");
  EXPECT_EQ(std::filesystem::exists(step.root.At("etc/hosts")), false);
  struct stat st = {};
  stat(step.root.At("etc").c_str(), &st);
  EXPECT_GT(st.st_mtim.tv_sec, 1000000000);
}

TEST_P(RunStep, MountsAreWhereTheyAreToBe) {
  test::RunDirectory host;
  host.File("file", "from the host");
  host.File("tree/inner", "below");
  step.root.Dir("real");
  step.root.Link("link", "/real");
  step.root.Link("outside", host.At("tree"));
  step.spec.mounts = {{StepMount::Kind::kBind, host.At("file"), "/secret"},
                      {StepMount::Kind::kBind, host.At("tree"), "/link/tree"},
                      {StepMount::Kind::kBind, host.At("tree"), "/outside/writable", false},
                      {StepMount::Kind::kTmpfs, "", "/fast", false, 1U << 20}};
  EXPECT_EQ(Of("cat /secret /real/tree/inner /outside/writable/inner"), "from the hostbelowbelow");
  EXPECT_NE(step.Run(*runtime, "touch /real/tree/x").value(), 0);
  EXPECT_NE(step.Run(*runtime, "echo x >/secret").value(), 0);
  EXPECT_EQ(Of("touch /outside/writable/x && grep ' /fast ' /proc/mounts && stat -c %a /fast")
                .find("tmpfs /fast tmpfs rw"),
            0U);
  EXPECT_THAT(step.out, HasSubstr("size=1024k"));
  EXPECT_TRUE(step.out.ends_with("1777\n")) << step.out;
  EXPECT_TRUE(std::filesystem::exists(host.At("tree/x")));
  EXPECT_FALSE(std::filesystem::exists(host.At("tree/writable")));
  EXPECT_EQ(std::filesystem::exists(step.root.At("secret")), false);
  EXPECT_NE(step.Run(*runtime, "head -c 2097152 /dev/zero >/fast/x").value(), 0);
}

TEST_P(RunStep, ASocketIsMountedLikeAFile) {
  test::RunDirectory host;
  ASSERT_EQ(mknod(host.At("agent").c_str(), S_IFSOCK | 0600, 0), 0);
  step.spec.mounts = {{StepMount::Kind::kBind, host.At("agent"), "/run/agent/0"}};
  EXPECT_EQ(Of("test -S /run/agent/0 && echo yes"), "yes\n");
  EXPECT_FALSE(std::filesystem::exists(step.root.At("run")));
}

TEST_P(RunStep, NetworkIsTheHostsOrNone) {
  char space[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/net", space, sizeof space - 1), 0);
  for (const char* network : {"default", "host"}) {
    step.spec.network = network;
    EXPECT_EQ(Of("readlink /proc/self/ns/net"), std::string(space) + "\n");
  }
  step.spec.network = "none";
  EXPECT_EQ(Of("grep -c : /proc/net/dev; grep -o 'lo:' /proc/net/dev"), "1\nlo:\n");
  EXPECT_EQ(Of("cat /sys/class/net/lo/flags"), "0x9\n");  // up
}

TEST_P(RunStep, NamespacesAreItsOwn) {
  EXPECT_EQ(Of("echo $$"), "1\n");
  for (const char* kind : {"pid", "ipc", "uts", "mnt"}) {
    char ours[64] = {};
    ASSERT_GT(readlink(("/proc/self/ns/" + std::string(kind)).c_str(), ours, sizeof ours - 1), 0);
    EXPECT_NE(Of("readlink /proc/self/ns/" + std::string(kind)), std::string(ours) + "\n") << kind;
  }
}

TEST_P(RunStep, CancellingEndsItAtOnce) {
  const std::string word = Unique();
  std::atomic<bool> cancel = false;
  step.on_output = [&] { cancel = true; };
  Clock::time_point cancelled_at;
  const auto status =
      step.RunWords(*runtime,
                    {"/bin/sh", "-c",
                     "trap '' TERM INT; sh -c 'trap \"\" TERM; while :; do sleep 9; done' " + word +
                         " & echo up; while :; do sleep 9; done",
                     word},
                    [&] {
                      if (cancel && cancelled_at == Clock::time_point())
                        cancelled_at = Clock::now();
                      return cancel.load();
                    });
  const auto ended = Clock::now();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ECANCELED);
  EXPECT_LT(ended - cancelled_at, std::chrono::seconds(1));
  EXPECT_TRUE(ProcessesWith(word).empty());
  EXPECT_TRUE(step.StateIsEmpty());
  EXPECT_FALSE(std::filesystem::exists(step.root.At("proc")));
}

TEST_P(RunStep, CancellingAtAnyMomentLeavesNothing) {
  const std::string before = Listing(step.root.path());
  for (int i = 0; i < 12; ++i) {
    const std::string word = Unique();
    const auto until = Clock::now() + std::chrono::milliseconds(i * 7);
    const auto status = step.RunWords(*runtime, {"/bin/sh", "-c", "sleep 60; true", word},
                                      [&] { return Clock::now() >= until; });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), ECANCELED);
    EXPECT_LT(Clock::now() - until, std::chrono::seconds(2));
    EXPECT_TRUE(ProcessesWith(word).empty());
    EXPECT_TRUE(ProcessesWith(step.spec.scratch).empty());
    EXPECT_TRUE(step.StateIsEmpty());
  }
  EXPECT_EQ(Listing(step.root.path()), before);
}

TEST_P(RunStep, LimitsAreSet) {
  step.spec.ulimits = {{"nofile", 333, 444}, {"core", 0, -1}};
  EXPECT_EQ(Of("ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc"), "333\n444\n0\nunlimited\n");
  step.spec.ulimits = {{"bananas", 1, 1}};
  EXPECT_EQ(Of("true"), "error: invalid ulimit type: bananas");
}

TEST_P(RunStep, SharedMemoryHasASize) {
  EXPECT_THAT(Of("grep ' /dev/shm ' /proc/mounts"), HasSubstr("size=65536k"));
  step.spec.shm_size = 1U << 20;
  EXPECT_THAT(Of("grep ' /dev/shm ' /proc/mounts"), HasSubstr("size=1024k"));
}

TEST_P(RunStep, TheWorkingDirectoryIsMade) {
  step.spec.user = "app";
  step.spec.working_dir = "/srv/app/src";
  EXPECT_EQ(Of("pwd; stat -c '%u:%g %a' . ..; touch here"),
            "/srv/app/src\n1000:1001 755\n1000:1001 755\n");
  EXPECT_TRUE(std::filesystem::exists(step.root.At("srv/app/src/here")));
  step.root.Link("to", "/srv/app");
  step.spec.working_dir = "/to/src";
  EXPECT_EQ(Of("ls"), "here\n");
  step.spec.user = "";
  step.spec.working_dir = "/../../new";
  EXPECT_EQ(Of("pwd"), "/new\n");
  EXPECT_TRUE(std::filesystem::exists(step.root.At("new")));
}

TEST_P(RunStep, ACommandThatIsNotThereIsAnError) {
  const auto status = step.RunWords(*runtime, {"/bin/no-such-command"});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().Message(), HasSubstr("no-such-command"));
  EXPECT_TRUE(status.error().Message().starts_with(std::string(GetParam()) + ": "));
  EXPECT_EQ(status.error().Message().find('\n'), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(step.root.At("proc")));
  EXPECT_TRUE(step.StateIsEmpty());
}

TEST_P(RunStep, TextIsTextToTheCommand) {
  EXPECT_EQ(step.RunWords(*runtime, {"/bin/echo", "\"\\ $x \xc3\xa9 \xff"}).value(), 0);
  EXPECT_EQ(step.out, "\"\\ $x \xc3\xa9 \xef\xbf\xbd\n");
  EXPECT_EQ(step.RunWords(*runtime, {"/bin/echo", std::string("a\0b", 3)}).error().Message(),
            "a word of the command with a NUL character");
}

TEST_P(RunStep, RootFilesystemsWithSymlinksOnTheWay) {
  step.scratch.Link("way", step.root.path());
  step.spec.root = step.scratch.At("way");
  EXPECT_EQ(Of("echo yes"), "yes\n");
}

TEST(DeviceCages, GoWithTheirOwnerAndThoseOfTheKilledWithTheNext) {
  auto own = DeviceCage::Create();
  if (!own && own.error().code() == ENOTSUP) GTEST_SKIP() << "no cgroups of version 1";
  ASSERT_TRUE(own) << own.error().Message();
  const std::string path = (*own)->path();
  EXPECT_TRUE(std::filesystem::exists(path));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto cage = DeviceCage::Create();
    if (cage && write(ends[1], (*cage)->path().data(), (*cage)->path().size()) < 0) _exit(1);
    kill(getpid(), SIGKILL);
  }
  close(ends[1]);
  char forgotten[256] = {};
  ASSERT_GT(read(ends[0], forgotten, sizeof forgotten - 1), 0);
  close(ends[0]);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(DeviceCage::Create());
  EXPECT_FALSE(std::filesystem::exists(forgotten));
  EXPECT_TRUE(std::filesystem::exists(path));  // somebody lives there
  own->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_P(RunStep, SeveralAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(4);
  // Made before any runs: a program that is being written, also by a descriptor that a process has
  // inherited a moment before its exec(2), cannot be run.
  std::array<Step, 4> steps;
  threads.reserve(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) {
        const Result<int> status = steps[i].Run(*runtime, "echo " + std::to_string(i));
        outputs[i] += steps[i].out + steps[i].err;
        if (!status) outputs[i] += status.error().Message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string line = std::to_string(i) + "\n";
    EXPECT_EQ(outputs[i], line + line + line);
  }
}

// Runs `body` as root of a user namespace with 65536 ids and namespaces of its own, as process 1;
// its status.
int InUserNamespace(const std::function<int()>& body) {
  int ready[2], mapped[2];
  if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) != 0) _exit(101);
    if (write(ready[1], "", 1) != 1 || read(mapped[0], &byte, 1) != 1) _exit(102);
    if (setresgid(0, 0, 0) != 0 || setgroups(0, nullptr) != 0 || setresuid(0, 0, 0) != 0)
      _exit(103);
    const pid_t first = fork();
    if (first == 0) {
      if (mount("proc", "/proc", "proc", 0, nullptr) != 0) _exit(104);
      _exit(body());
    }
    int status = 0;
    waitpid(first, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 105);
  }
  char byte = 0;
  if (read(ready[0], &byte, 1) == 1) {
    const std::string proc = "/proc/" + std::to_string(child) + "/";
    std::ofstream(proc + "uid_map") << "0 100000 65536";
    std::ofstream(proc + "gid_map") << "0 100000 65536";
    if (write(mapped[1], "", 1) != 1) kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  for (const int fd : {ready[0], ready[1], mapped[0], mapped[1]}) close(fd);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_P(RunStep, WorksInAUserNamespace) {
  test::RunDirectory host;
  host.File("file", "from the host");
  step.spec.mounts = {{StepMount::Kind::kBind, host.At("file"), "/mnt/file"}};
  const test::RunDirectory own;
  for (const std::string& path : {step.root.path(), step.scratch.path(), own.path()}) {
    ASSERT_EQ(lchown(path.c_str(), 100000, 100000), 0);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      ASSERT_EQ(lchown(entry.path().c_str(), 100000, 100000), 0);
  }
  test::MakeOld(step.root.path());
  const std::string before = Listing(step.root.path());
  const int status = InUserNamespace([&] {
    auto inner = OciRuntime::Open(GetParam(), own.path());
    if (!inner) {
      std::fprintf(stderr, "%s\n", inner.error().Message().c_str());
      return 1;
    }
    step.spec.user = "app";
    auto ran = step.Run(*inner,
                        "set -e; cat /mnt/file; test -c /dev/null; echo x >/dev/null; "
                        "test -d /sys/class; test -d /dev/mqueue; grep -q buildkitsandbox "
                        "/etc/hosts; id -G; grep Seccomp: /proc/self/status");
    std::fprintf(stderr, "%s%s", step.out.c_str(), step.err.c_str());
    if (!ran) std::fprintf(stderr, "%s\n", ran.error().Message().c_str());
    if (!ran || *ran != 0) return 2;
    if (step.out != "from the host1001 27\nSeccomp:\t2\n") return 3;
    step.spec.user = "";
    step.spec.network = "none";
    ran = step.Run(*inner, "id -u && grep -c : /proc/net/dev");
    if (!ran) std::fprintf(stderr, "%s\n", ran.error().Message().c_str());
    if (!ran || step.out != "0\n1\n") return 4;
    std::atomic<bool> cancel = false;
    step.on_output = [&] { cancel = true; };
    ran = step.Run(*inner, "echo up; sleep 60; true", [&] { return cancel.load(); });
    return !ran && ran.error().code() == ECANCELED && step.StateIsEmpty() ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Listing(step.root.path()), before);
}

}  // namespace
}  // namespace veneer::build
