#include "tools/inspect_zeros.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/go_template.h"

namespace veneer::tools {
namespace {

using ::testing::HasSubstr;

std::string Shown(const std::string& format, const Json& document) {
  const auto parsed = Template::Parse(format);
  if (!parsed) return parsed.error().Message();
  const auto text = parsed->Execute(document, ImageZeros());
  return text ? *text : text.error().Message();
}

TEST(InspectZeros, FieldsThatAreLeftOutHaveDockersZeroValues) {
  const Json document = {{"Id", "x"},
                         {"Config", {{"Cmd", {"sh"}}, {"Env", nullptr}, {"WorkingDir", "/w"}}}};
  for (const auto& [format, shown] : std::map<std::string, std::string>{
           {"[{{.Variant}}]", "[]"},
           {"[{{.Config.User}}]", "[]"},
           {"{{.Config.Labels}}", "map[]"},
           {"{{.Config.Entrypoint}}", "[]"},
           {"{{.Config.Env}}", "[]"},
           {"{{.Config.Healthcheck}}", "<nil>"},
           {"{{.Config.Tty}}", "false"},
           {"{{.Config.Cmd}}", "[sh]"},
           {"{{with .Config}}{{.WorkingDir}}{{.Volumes}}{{end}}", "/wmap[]"},
           {"{{json .Config.Entrypoint}} {{json .Config.Labels}}", "null null"},
           {"{{json .Config}}", R"({"Cmd":["sh"],"Env":null,"WorkingDir":"/w"})"},
           {"{{index .Config.Labels \"a\"}}{{len .Config.Volumes}}", "0"},
           {"{{if .Config.Labels}}yes{{else}}no{{end}}", "no"},
       }) {
    EXPECT_EQ(Shown(format, document), shown) << format;
  }
}

TEST(InspectZeros, FieldsThatDockerDoesNotKnowAreErrors) {
  const Json document = {{"Id", "x"}, {"Config", {{"Cmd", {"sh"}}}}};
  EXPECT_THAT(Shown("{{.Varient}}", document), HasSubstr("can't evaluate field Varient"));
  EXPECT_THAT(Shown("{{.Config.Usr}}", document), HasSubstr("can't evaluate field Usr"));
  EXPECT_EQ(Shown("{{.Config.Labels.a}}", document), "<no value>");
}

}  // namespace
}  // namespace veneer::tools
