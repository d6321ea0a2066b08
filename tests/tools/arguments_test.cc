#include "tools/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace veneer::tools {
namespace {

using ::testing::ElementsAre;

using Words = std::vector<std::string>;

class ArgumentsTest : public ::testing::Test {
 protected:
  ArgumentsTest() {
    app_.add_option("--root", root_);
    CLI::App* build = app_.add_subcommand("build");
    build->add_option("context", context_);
    build->add_option("--target", target_);
    build->add_option("-t,--tag", tags_)->allow_extra_args(false);
    build->add_flag("-q,--quiet", quiet_);
    CLI::App* images = app_.add_subcommand("image")->add_subcommand("ls");
    images->add_option("--filter", filters_)->allow_extra_args(false);
    images->add_option("names", names_);
  }

  Words Arguments(const std::vector<const char*>& words) {
    std::vector<const char*> all = {"veneer"};
    all.insert(all.end(), words.begin(), words.end());
    return DockerArguments(app_, static_cast<int>(all.size()), all.data());
  }
  void Parse(const std::vector<const char*>& words) {
    Words arguments = Arguments(words);
    std::reverse(arguments.begin(), arguments.end());
    app_.parse(std::move(arguments));
  }

  CLI::App app_;
  std::string root_ = "r", context_, target_ = "before";
  Words tags_, filters_, names_;
  bool quiet_ = false;
};

TEST_F(ArgumentsTest, AnEmptyValueAfterEqualsIsTheValue) {
  Parse({"--root=", "build", "--target=", "ctx", "--tag=", "-t=", "-q"});
  EXPECT_EQ(root_, "");
  EXPECT_EQ(target_, "");
  EXPECT_EQ(context_, "ctx");
  EXPECT_THAT(tags_, ElementsAre("", ""));
  EXPECT_TRUE(quiet_);
}

TEST_F(ArgumentsTest, ItIsOfSubcommandsToo) {
  Parse({"image", "ls", "--filter=", "x"});
  EXPECT_THAT(filters_, ElementsAre(""));
  EXPECT_THAT(names_, ElementsAre("x"));
}

TEST_F(ArgumentsTest, WordsAfterTwoDashesAndValuesStayAsTheyAre) {
  EXPECT_EQ(Arguments({"build", "--", "--target=", "-q=false"}),
            (Words{"build", "--", "--target=", "-q=false"}));
  EXPECT_EQ(Arguments({"build", "--target", "--tag=", "-t", "-q=false"}),
            (Words{"build", "--target", "--tag=", "-t", "-q=false"}));
  EXPECT_EQ(Arguments({"build", "--unknown=", "-ux"}), (Words{"build", "--unknown=", "-ux"}));
}

TEST_F(ArgumentsTest, ShortOptionsTakeTheirValueAfterEquals) {
  EXPECT_EQ(Arguments({"build", "-q=false", "-t=a=b", "--tag=c=d"}),
            (Words{"build", "--quiet=false", "-t", "a=b", "--tag=c=d"}));
}

TEST_F(ArgumentsTest, ShortOptionsInOneWord) {
  EXPECT_EQ(Arguments({"build", "-qt=a", "-qtb", "-qt", "-q", "ctx"}),
            (Words{"build", "-q", "-t", "a", "-q", "-t", "b", "-q", "-t", "-q", "ctx"}));
  EXPECT_EQ(Arguments({"build", "-qq=false", "-qt="}),
            (Words{"build", "-q", "--quiet=false", "-q", "-t", ""}));
}

TEST_F(ArgumentsTest, NothingIsNeitherTrueNorFalse) {
  EXPECT_THROW(Arguments({"build", "--quiet="}), CLI::Error);
  EXPECT_THROW(Arguments({"build", "-q="}), CLI::Error);
}

// --root's value is none of the commands.
TEST_F(ArgumentsTest, AValueIsNoCommand) {
  Parse({"--root", "image", "build", "--target=", "ctx"});
  EXPECT_EQ(root_, "image");
  EXPECT_EQ(context_, "ctx");
}

}  // namespace
}  // namespace veneer::tools
