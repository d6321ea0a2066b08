// The command itself, as far as it builds nothing.
#include "tools/build/cmd_build.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tests/store/store_fixture.h"

namespace veneer::build {
namespace {

using test::MakeTar;
using test::Must;
using ::testing::HasSubstr;

class BuildCommandTest : public test::StoreTest {
 protected:
  // What `veneer build WORDS` prints on both of its outputs.
  std::string Run(std::vector<std::string> words, int status = 0) {
    tools::Context context;
    context.root = root_;
    CLI::App app("", "veneer");
    AddBuild(app, context);
    words.insert(words.begin(), "build");
    std::ranges::reverse(words);  // as CLI11 takes them
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    int seen = 0;
    try {
      app.parse(std::move(words));
      seen = context.Finish();
    } catch (const CLI::Error& error) {
      seen = tools::kExitUsage;
    }
    std::string out = ::testing::internal::GetCapturedStdout();
    out += ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(seen, status) << out;
    return out;
  }

  // The same, with `input` on standard input.
  std::string RunWith(const std::string& input, const std::vector<std::string>& words,
                      int status = 0) {
    std::string name = ::testing::TempDir() + "veneer-input-XXXXXX";
    const UniqueFd file(mkstemp(name.data()));
    unlink(name.c_str());
    Must(WriteAll(file.get(), input));
    lseek(file.get(), 0, SEEK_SET);
    const UniqueFd before(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    dup2(file.get(), STDIN_FILENO);
    std::string out = Run(words, status);
    dup2(before.get(), STDIN_FILENO);
    return out;
  }
};

TEST_F(BuildCommandTest, CheckTakesAnArchiveOnStandardInput) {
  const std::string archive =
      MakeTar({{.path = "sub/Dockerfile", .content = "FROM scratch AS B\nCOPY hidden /\n"},
               {.path = "hidden", .content = "x"},
               {.path = ".dockerignore", .content = "hidden\n"}});
  const std::string said = RunWith(archive, {"--check", "-f", "sub/Dockerfile", "-"}, 1);
  EXPECT_THAT(said, HasSubstr("Stage name 'B' should be lowercase"));
  EXPECT_THAT(said, HasSubstr("CopyIgnoredFile"));
  EXPECT_THAT(RunWith(archive, {"--call=check", "-"}, 1), HasSubstr("Dockerfile"));
}

TEST_F(BuildCommandTest, CheckTakesADockerfileOnStandardInput) {
  EXPECT_EQ(RunWith("FROM scratch\n", {"--check", "-"}), "Check complete, no warnings found.\n");
}

TEST_F(BuildCommandTest, CheckFetchesRepositories) {
  EXPECT_THAT(Run({"--check", "https://127.0.0.1:1/none.git"}, 1),
              HasSubstr("failed to fetch https://127.0.0.1:1/none.git"));
}

}  // namespace
}  // namespace veneer::build
