// Docker's listings; the expected texts were printed by its own client over the same rows.
#include "tools/table.h"

#include <gtest/gtest.h>

namespace veneer::tools {
namespace {

constexpr std::string_view kImages =
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

Json Headings() {
  return {{"Repository", "REPOSITORY"}, {"Tag", "TAG"},   {"ID", "IMAGE ID"},
          {"CreatedSince", "CREATED"},  {"Size", "SIZE"}, {"Label", "LABEL"}};
}

std::vector<Json> Rows() {
  std::vector<Json> rows;
  for (const auto& [name, tag] :
       {std::pair("debian", "12"), std::pair("averyverylongname/x", "1")}) {
    rows.push_back({{"Repository", name},
                    {"Tag", tag},
                    {"ID", "2c5b7f3cdd5f"},
                    {"CreatedSince", "2 years ago"},
                    {"Size", "123MB"},
                    {"Label", {{"a<b", "c"}}}});
  }
  return rows;
}

std::string Print(std::string_view format, std::string_view default_template = kImages,
                  bool no_headings = false) {
  const Result<std::string> out =
      FormatRows(format, default_template, Headings(), Rows(), no_headings);
  return out ? *out : "ERR " + out.error().Message();
}

TEST(Table, AlignsAsDockerDoes) {
  const std::string want =
      "REPOSITORY            TAG       IMAGE ID       CREATED       SIZE\n"
      "debian                12        2c5b7f3cdd5f   2 years ago   123MB\n"
      "averyverylongname/x   1         2c5b7f3cdd5f   2 years ago   123MB\n";
  EXPECT_EQ(Print(""), want);
  EXPECT_EQ(Print("table"), want);
  EXPECT_EQ(Print("", kImages, true), want.substr(want.find('\n') + 1));
}

TEST(Table, TakesTheUsersTemplateWithTypedEscapes) {
  EXPECT_EQ(Print(R"(table {{.ID}}\t{{.Repository}})"),
            "IMAGE ID       REPOSITORY\n"
            "2c5b7f3cdd5f   debian\n"
            "2c5b7f3cdd5f   averyverylongname/x\n");
  EXPECT_EQ(Print(R"({{.ID}}\n{{.Tag}})"), "2c5b7f3cdd5f\n12\n2c5b7f3cdd5f\n1\n");
  EXPECT_EQ(Print("{{.Repository}}:{{.Tag}}"), "debian:12\naveryverylongname/x:1\n");
}

TEST(Table, HeadingsPassThroughFunctions) {
  EXPECT_EQ(Print(R"(table {{upper .Tag}}\t{{json .ID}}\t{{.Label "a<b"}})"),
            "TAG       IMAGE ID         LABEL\n"
            "12        \"2c5b7f3cdd5f\"   c\n"
            "1         \"2c5b7f3cdd5f\"   c\n");
}

TEST(Table, QuietPrintsIdsAlone) {
  EXPECT_EQ(Print("", kQuietTemplate), "2c5b7f3cdd5f\n2c5b7f3cdd5f\n");
  EXPECT_EQ(Print("{{.Tag}}", kQuietTemplate), "12\n1\n");
}

TEST(Table, JsonIsALinePerRow) {
  const std::vector<Json> rows = {
      {{"ID", "<missing>"}, {"Comment", "a&b"}, {"Label", {{"a", "b"}}}}};
  const std::string want = "{\"Comment\":\"a\\u0026b\",\"ID\":\"\\u003cmissing\\u003e\"}\n";
  EXPECT_EQ(*FormatRows("json", kImages, {}, rows), want);
  EXPECT_EQ(*FormatRows("{{json .}}", kImages, {}, rows), want);
}

TEST(Table, NamesUnknownFields) {
  EXPECT_EQ(Print("{{.Foo}}"),
            "ERR template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate "
            "field Foo");
  EXPECT_EQ(Print(R"(table {{.ID}}\t{{.Foo}})"),
            "ERR template parsing error: template: :1:10: executing \"\" at <.Foo>: can't evaluate "
            "field Foo");
  EXPECT_EQ(Print("{{.ID"), "ERR template parsing error: template: :1: unclosed action");
}

TEST(Table, NoRowsStillHaveAHeading) {
  EXPECT_EQ(*FormatRows("", kImages, Headings(), {}),
            "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
  EXPECT_EQ(*FormatRows("{{.ID}}", kImages, Headings(), {}), "");
}

TEST(AlignColumns, AColumnEndsWhereALineDoesNotHaveIt) {
  EXPECT_EQ(AlignColumns("a\tb\nlonger than ten\tb\nplain\nc\td\n"),
            "a                 b\nlonger than ten   b\nplain\nc         d\n");
  EXPECT_EQ(AlignColumns("é\tx\nabcdefghij\ty\n"), "é            x\nabcdefghij   y\n");
  EXPECT_EQ(AlignColumns("a\t\n"), "a         \n");
  EXPECT_EQ(AlignColumns(""), "");
}

}  // namespace
}  // namespace veneer::tools
