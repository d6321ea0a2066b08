// --chmod.
#include "tools/build/copy/mode_change.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace veneer::build {
namespace {

struct Case {
  const char* change;
  uint32_t before;
  uint32_t after;
};

uint32_t Apply(const char* change, uint32_t mode) {
  auto parsed = ModeChange::Parse(change);
  EXPECT_TRUE(parsed) << change << ": " << parsed.error().Message();
  return parsed ? parsed->Apply(mode) : 0;
}

TEST(ModeChange, ANumberIsTheMode) {
  EXPECT_EQ(Apply("755", S_IFREG | 0600), S_IFREG | 0755u);
  EXPECT_EQ(Apply("0", S_IFREG | 0600), S_IFREG | 0u);
  EXPECT_EQ(Apply("4711", S_IFDIR | 0755), S_IFDIR | 04711u);
  EXPECT_EQ(ModeChange::Parse("1777")->absolute(), 01777u);
  EXPECT_FALSE(ModeChange::Parse("u+x")->absolute());
}

TEST(ModeChange, ChangesAddTakeAndSetBits) {
  const Case cases[] = {
      {"u+x", 0644, 0744},   {"+x", 0644, 0755},     {"a-w", 0666, 0444},
      {"go=", 0777, 0700},   {"go-rwx", 0755, 0700}, {"u=rw,g=r,o=", 0777, 0640},
      {"o+w", 0644, 0646},   {"u+x-w", 0644, 0544},  {"ug+w,o-r", 0444, 0660},
      {"=r", 0777, 0444},    {"u=", 04755, 0055},    {"g=rx", 02777, 0757},
      {"a=rw", 06777, 0666},
  };
  for (const Case& c : cases)
    EXPECT_EQ(Apply(c.change, S_IFREG | c.before), S_IFREG | c.after) << c.change;
}

TEST(ModeChange, SearchIsForDirectoriesAndWhatIsExecutable) {
  EXPECT_EQ(Apply("u=rwX,go=rX", S_IFREG | 0640), S_IFREG | 0644u);
  EXPECT_EQ(Apply("u=rwX,go=rX", S_IFREG | 0700), S_IFREG | 0755u);
  EXPECT_EQ(Apply("u=rwX,go=rX", S_IFDIR | 0600), S_IFDIR | 0755u);
  EXPECT_EQ(Apply("+X", S_IFREG | 0644), S_IFREG | 0644u);
  EXPECT_EQ(Apply("g+X", S_IFREG | 0100), S_IFREG | 0110u);
  EXPECT_EQ(Apply("-X", S_IFDIR | 0755), S_IFDIR | 0755u);
  // Executable is what was so before, not what the change made so.
  EXPECT_EQ(Apply("a-x,a+X", S_IFREG | 0755), S_IFREG | 0755u);
}

TEST(ModeChange, ClassesAreCopied) {
  const Case cases[] = {
      {"g=u", 0740, 0770}, {"go=u-w", 0700, 0755}, {"o=g", 0750, 0755}, {"u+g", 0470, 0770},
      {"a=u", 0400, 0444}, {"u=g", 04750, 04550},  {"o-u", 0757, 0750},
  };
  for (const Case& c : cases)
    EXPECT_EQ(Apply(c.change, S_IFREG | c.before), S_IFREG | c.after) << c.change;
}

TEST(ModeChange, SetIdAndStickyBits) {
  const Case cases[] = {
      {"u+s", 0755, 04755}, {"g+s", 0755, 02755},   {"+s", 0755, 06755}, {"o+s", 0755, 0755},
      {"+t", 0755, 01755},  {"a+t", 0755, 01755},   {"o+t", 0755, 0755}, {"u-s", 06755, 02755},
      {"-t", 01777, 0777},  {"u=rws", 0700, 04600},
  };
  for (const Case& c : cases)
    EXPECT_EQ(Apply(c.change, S_IFDIR | c.before), S_IFDIR | c.after) << c.change;
}

TEST(ModeChange, OtherTextIsRefused) {
  for (const char* text : {"", "x", "u", "888", "10000", "u+q", "u+r,", "rwx"})
    EXPECT_FALSE(ModeChange::Parse(text)) << text;
}

}  // namespace
}  // namespace veneer::build
