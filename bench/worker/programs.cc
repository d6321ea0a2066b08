#include <fcntl.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/worker/worker.h"

extern char** environ;

namespace veneer::bench {
namespace {

class Command {
 public:
  explicit Command(const std::vector<std::string>& words) {
    argv_.reserve(words.size() + 1);
    for (const std::string& word : words) argv_.push_back(const_cast<char*>(word.c_str()));
    argv_.push_back(nullptr);
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  ~Command() { posix_spawn_file_actions_destroy(&actions_); }
  Command(const Command&) = delete;

  void Run() {
    pid_t pid = 0;
    errno = posix_spawnp(&pid, argv_[0], &actions_, nullptr, argv_.data(), environ);
    if (errno != 0) Die(argv_[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
      if (errno != EINTR) Die("wait");
    }
    errno = 0;
    if (status != 0) Die(std::string(argv_[0]) + " fails with status " + std::to_string(status));
  }

 private:
  std::vector<char*> argv_;
  posix_spawn_file_actions_t actions_;
};

}  // namespace

double Run(const std::vector<std::string>& command) { return RunOften(1, command); }

double RunOften(uint64_t count, const std::vector<std::string>& command) {
  Command program(command);
  Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) program.Run();
  return watch.Seconds();
}

double SqliteInserts(const std::string& file, uint64_t count) {
  sqlite3* db = nullptr;
  auto check = [&](int status) {
    if (status != SQLITE_OK) Die(file + ": " + sqlite3_errmsg(db));
  };
  auto run = [&](const char* sql) { check(sqlite3_exec(db, sql, nullptr, nullptr, nullptr)); };
  check(sqlite3_open(file.c_str(), &db));
  run("PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)");
  Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) {
    run("INSERT INTO t (text) VALUES ('one row, which is to be there after a power cut')");
  }
  double seconds = watch.Seconds();
  check(sqlite3_close(db));
  return seconds;
}

}  // namespace veneer::bench
