// Conformance: the fixture of every case: a FileSystem over one back end, and short forms that fail
// the case where they fail.
//
// When a case ends it unmounts and looks behind: the lower must be what it was, byte for byte, and
// nothing may be left in the work directory. See README.md for how to write a case.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/back_end.h"
#include "tests/conformance/file_system.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::conformance {

class Conformance : public ::testing::TestWithParam<BackEnd> {
 protected:
  using Fill = std::function<void(const std::string& dir)>;

  // Makes the content that is there at the beginning, with plain system calls below `dir`.
  virtual void Populate(const std::string& /*dir*/) {}
  // The layers of that content, the lowest first; in the oracle, one fills the same directory after
  // the other.
  virtual std::vector<Fill> Layers();
  // True: there is no upper; the oracle is a directory mounted read-only.
  virtual bool ReadOnly() const { return false; }

  void SetUp() override;
  void TearDown() override;

  FileSystem& fs() { return *fs_; }
  bool Differs(Difference difference) const { return conformance::Differs(GetParam(), difference); }
  bool oracle() const { return GetParam().kind == testing::Kind::kPlain; }
  bool in_process() const { return GetParam().in_process; }
  testing::WorkDir& work() { return *work_; }

  std::string Read(const std::string& path);
  std::string Read(File& file);  // all of it
  // Makes or empties the file.
  void Write(const std::string& path, std::string_view content, mode_t mode = 0644);
  void Append(const std::string& path, std::string_view content);
  FilePtr Open(const std::string& path, int flags, mode_t mode = 0644);
  // All zero where there is none.
  struct stat Stat(const std::string& path);
  mode_t Mode(const std::string& path) { return Stat(path).st_mode & 07777; }
  bool Exists(const std::string& path);
  // Sorted, without "." and "..".
  std::vector<std::string> List(const std::string& path);
  std::vector<DirItem> Items(const std::string& path);                  // as they come
  std::string Xattr(const std::string& path, const std::string& name);  // "" where there is none
  void RemoveAll(const std::string& path);
  void Remount();
  control::Stats Statistics();  // REQUIRES: not the oracle

 private:
  std::unique_ptr<testing::WorkDir> work_;
  std::unique_ptr<FileSystem> fs_;
  std::string lower_;
};

// Cases that need a kernel above the filesystem: for mappings, locks, permissions, notifications,
// other processes. They use system calls below path().
class KernelConformance : public Conformance {
 protected:
  const std::string& path() { return work().path(); }
  std::string At(const std::string& name) { return work() / name; }
  // Runs `body` in a child of another user and group, without further groups, umask 022; its result
  // is the child's exit status.
  static int AsUser(uid_t user, const std::function<int()>& body);
};

#define VENEER_CONFORMANCE(suite)                                                        \
  INSTANTIATE_TEST_SUITE_P(Each, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::EachBackEnd()),  \
                           veneer::fs::conformance::BackEndName);                        \
  INSTANTIATE_TEST_SUITE_P(Long, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::FurtherModes()), \
                           veneer::fs::conformance::BackEndName)
#define VENEER_KERNEL_CONFORMANCE(suite)                                                 \
  INSTANTIATE_TEST_SUITE_P(Each, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::EachKernel()),   \
                           veneer::fs::conformance::BackEndName);                        \
  INSTANTIATE_TEST_SUITE_P(Long, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::FurtherModes()), \
                           veneer::fs::conformance::BackEndName)
// Where the mode decides how data is read and written, every one of them belongs to each run.
#define VENEER_CONFORMANCE_IN_EVERY_MODE(suite)                                          \
  INSTANTIATE_TEST_SUITE_P(Each, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::EachBackEnd()),  \
                           veneer::fs::conformance::BackEndName);                        \
  INSTANTIATE_TEST_SUITE_P(Modes, suite,                                                 \
                           ::testing::ValuesIn(veneer::fs::conformance::FurtherModes()), \
                           veneer::fs::conformance::BackEndName)
#define VENEER_KERNEL_CONFORMANCE_IN_EVERY_MODE(suite)                                   \
  INSTANTIATE_TEST_SUITE_P(Each, suite,                                                  \
                           ::testing::ValuesIn(veneer::fs::conformance::EachKernel()),   \
                           veneer::fs::conformance::BackEndName);                        \
  INSTANTIATE_TEST_SUITE_P(Modes, suite,                                                 \
                           ::testing::ValuesIn(veneer::fs::conformance::FurtherModes()), \
                           veneer::fs::conformance::BackEndName)

}  // namespace veneer::fs::conformance
