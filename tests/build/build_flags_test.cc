#include "tools/build/build_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tools/build/cache/step_key.h"
#include "tools/context.h"

namespace veneer::build {
namespace {

using ::testing::HasSubstr;

TEST(BuildFlags, NamesAloneStandForOurEnvironment) {
  setenv("VENEER_TEST_SET", "here", 1);
  unsetenv("VENEER_TEST_UNSET");
  const auto values =
      NamedValues("--build-arg", {"A=1", "B=x=y", "VENEER_TEST_SET", "VENEER_TEST_UNSET"}, true);
  EXPECT_EQ(values.at("A"), "1");
  EXPECT_EQ(values.at("B"), "x=y");
  EXPECT_EQ(values.at("VENEER_TEST_SET"), "here");
  EXPECT_FALSE(values.contains("VENEER_TEST_UNSET"));
  EXPECT_THROW(NamedValues("--label", {"=x"}, false), tools::UsageError);
}

TEST(BuildFlags, ContextsHaveNamesAndValues) {
  const auto values = ContextValues({"Base=docker-image://a", "b=", "base=c=d"});
  EXPECT_EQ(values.size(), 2U);
  EXPECT_EQ(values.at("base"), "c=d");
  EXPECT_EQ(values.at("b"), "");
  EXPECT_THROW(ContextValues({"foo"}), tools::UsageError);
  EXPECT_THROW(ContextValues({"=foo"}), tools::UsageError);
}

TEST(BuildFlags, SecretsComeFromFilesAndVariables) {
  std::string name = ::testing::TempDir() + "veneer-secret-XXXXXX";
  char* const path = name.data();
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  std::ofstream(path) << "hidden\n";
  setenv("VENEER_TEST_SECRET", "of the environment", 1);
  const std::string file = path;
  EXPECT_EQ(ParseSecret("id=a,src=" + file)->second.content, "hidden\n");
  EXPECT_EQ(ParseSecret("source=" + file + ",id=a,type=file")->first, "a");
  EXPECT_EQ(ParseSecret("id=a,env=VENEER_TEST_SECRET")->second.content, "of the environment");
  EXPECT_EQ(ParseSecret("id=a,type=env,src=VENEER_TEST_SECRET")->second.content,
            "of the environment");
  EXPECT_EQ(ParseSecret("id=VENEER_TEST_SECRET")->second.content, "of the environment");
  unlink(path);
  EXPECT_THAT(ParseSecret("id=a,src=" + file).error().Message(), HasSubstr(file));
  EXPECT_THAT(ParseSecret("src=x").error().Message(), HasSubstr("id="));
  EXPECT_FALSE(ParseSecret("id=a,foo=b"));
  EXPECT_FALSE(ParseSecret("id=a,type=x"));
}

TEST(BuildFlags, UlimitsAreNamedAndInOrder) {
  EXPECT_EQ(ParseUlimit("nofile=10:20")->hard, 20);
  EXPECT_EQ(ParseUlimit("nofile=10")->hard, 10);
  EXPECT_EQ(ParseUlimit("core=-1")->soft, -1);
  EXPECT_EQ(ParseUlimit("core=5:-1")->hard, -1);
  for (const char* bad : {"nofile", "x=1", "nofile=a", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3"})
    EXPECT_FALSE(ParseUlimit(bad)) << bad;
}

TEST(BuildFlags, HostsHaveAddresses) {
  EXPECT_EQ(ParseExtraHost("a:1.2.3.4").value(), "a:1.2.3.4");
  EXPECT_EQ(ParseExtraHost("a=::1").value(), "a:::1");
  EXPECT_EQ(ParseExtraHost("a:[::1]").value(), "a:::1");
  EXPECT_EQ(ParseExtraHost("a:host-gateway").value(), "a:host-gateway");
  for (const char* bad : {"a", ":1.2.3.4", "a:x", "a:1.2.3"})
    EXPECT_FALSE(ParseExtraHost(bad)) << bad;
}

TEST(BuildFlags, TheEpochIsOfTheArgumentThenOfTheEnvironment) {
  setenv("SOURCE_DATE_EPOCH", "5", 1);
  EXPECT_EQ(SourceDateEpoch({})->value(), 5);
  EXPECT_EQ(SourceDateEpoch({{"SOURCE_DATE_EPOCH", "7"}})->value(), 7);
  EXPECT_FALSE(SourceDateEpoch({{"SOURCE_DATE_EPOCH", "x"}}));
  unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_FALSE(SourceDateEpoch({})->has_value());
}

TEST(StepKey, FieldsCannotRunIntoEachOther) {
  const auto key = [](const std::vector<std::string>& fields) {
    return StepKey("k").Add(fields).Finish();
  };
  EXPECT_EQ(key({"a", "b"}), key({"a", "b"}));
  EXPECT_NE(key({"ab"}), key({"a", "b"}));
  EXPECT_NE(key({"a", ""}), key({"a"}));
  EXPECT_NE(StepKey("k").AddOptional(0).Finish(), StepKey("k").AddOptional({}).Finish());
  EXPECT_NE(StepKey("k").AddChain({}).Finish(), StepKey("l").AddChain({}).Finish());
}

}  // namespace
}  // namespace veneer::build
