#include "tools/history_format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace veneer::tools {
namespace {

constexpr std::string_view kId =
    "sha256:2c5b7f3cdd5f3a2b1e9ad9f6a0ad4de7a2b37a9a4c1a4e7ef0e1fbc3d8b7a611";
constexpr int64_t kNow = 1704164645 + 700 * 86400;

class HistoryFormat : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC0", 1);
    tzset();
  }

  static Json Config() {
    return Json::parse(R"({"history": [
      {"created_by": "x", "created": "0001-01-01T00:00:00Z"},
      {"created": "1970-01-01T00:00:00Z", "created_by": "短い短い短い短い短い短い短い短い短い短い短い短い短い短い"},
      {"created": "2024-01-02T03:04:05.5Z", "created_by": "/bin/sh -c #(nop)  CMD [\"sh\"] a very\tlong line indeed",
       "empty_layer": true, "comment": "hi"}
    ]})");
  }

  static std::string Print(const HistoryOptions& options, const Json& config = Config()) {
    const std::vector<uint64_t> sizes = {7812, 999};
    return FormatHistory(kId, config, sizes, options, kNow).value();
  }
};

TEST_F(HistoryFormat, PrintsDockersTable) {
  EXPECT_EQ(Print({}),
            "IMAGE          CREATED         CREATED BY                                      SIZE   "
            "   COMMENT\n"
            "2c5b7f3cdd5f   23 months ago   /bin/sh -c #(nop)  CMD [\"sh\"] a very long li…   0B   "
            "     hi\n"
            "<missing>      N/A             短い短い短い短い短い短い短い短い短い短い短い…          "
            "               999B      \n"
            "<missing>      N/A             x                                               7.81kB "
            "   \n");
}

TEST_F(HistoryFormat, WithoutHumanShowsDatesAndBytes) {
  EXPECT_EQ(Print({.human = false}),
            "IMAGE          CREATED AT             CREATED BY                                      "
            "SIZE      COMMENT\n"
            "2c5b7f3cdd5f   2024-01-02T03:04:05Z   /bin/sh -c #(nop)  CMD [\"sh\"] a very long li… "
            "  0         hi\n"
            "<missing>      1970-01-01T00:00:00Z   短い短い短い短い短い短い短い短い短い短い短い…   "
            "                      999       \n"
            "<missing>      0001-01-01T00:00:00Z   x                                               "
            "7812      \n");
}

TEST_F(HistoryFormat, NoTruncShowsWholeIdsAndCommands) {
  const std::string out = Print({.format = "{{.ID}} {{.CreatedBy}}", .no_trunc = true});
  EXPECT_EQ(out.substr(0, out.find('\n')),
            std::string(kId) + " /bin/sh -c #(nop)  CMD [\"sh\"] a very long line indeed");
}

TEST_F(HistoryFormat, QuietPrintsIds) {
  EXPECT_EQ(Print({.quiet = true}), "2c5b7f3cdd5f\n<missing>\n<missing>\n");
}

TEST_F(HistoryFormat, HasDockersPlaceholders) {
  const std::string out = Print({.format = "json"});
  EXPECT_EQ(
      out.substr(0, out.find('\n')),
      R"({"Comment":"hi","CreatedAt":"2024-01-02T03:04:05Z","CreatedBy":"/bin/sh -c #(nop)  CMD [\"sh\"] a very )"
      R"(long li…","CreatedSince":"23 months ago","ID":"2c5b7f3cdd5f","Size":"0B"})");
}

TEST_F(HistoryFormat, LayersWithoutHistoryAreShown) {
  EXPECT_EQ(Print({.format = "{{.ID}} {{.Size}}"}, Json::object()),
            "2c5b7f3cdd5f 999B\n<missing> 7.81kB\n");
  EXPECT_EQ(
      Print({.format = "{{.Size}}"}, Json::parse(R"({"history":[{"empty_layer":true}, 3, null]})")),
      "999B\n7.81kB\n0B\n");
  EXPECT_EQ(Print({.format = "{{.Size}}"}, Json::parse(R"({"history":[{},{},{}]})")),
            "0B\n999B\n7.81kB\n");
}

}  // namespace
}  // namespace veneer::tools
