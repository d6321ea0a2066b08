// --squash: one layer that makes of the base what all the layers of a build are.
#include "tools/build/squash.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "store/layer_writer.h"
#include "tests/store/store_fixture.h"

namespace veneer::build {
namespace {

class Squash : public test::StoreTest {
 protected:
  static UpperChange File(const std::string& path, uint32_t mode = 0644) {
    UpperChange change;
    change.path = path;
    change.attr.mode = S_IFREG | mode;
    return change;
  }
  static UpperChange Directory(const std::string& path, uint32_t mode = 0755) {
    UpperChange change = File(path);
    change.attr.mode = S_IFDIR | mode;
    return change;
  }
  static UpperChange Gone(const std::string& path) {
    UpperChange change;
    change.path = path;
    change.kind = ChangeKind::kDeleted;
    return change;
  }
  static UpperChange Link(const std::string& path, const std::string& to) {
    UpperChange change = File(path);
    change.hard_link = to;
    return change;
  }
  DiffId Layer(const std::vector<UpperChange>& changes) {
    auto session = IngestSession::Begin(store()).value();
    auto writer = LayerWriter::Create(*session).value();
    for (const UpperChange& change : changes) EXPECT_TRUE(writer->Add(change, {}));
    const StagedLayer layer = writer->Finish().value();
    EXPECT_TRUE(session->Publish({&layer, 1}, []() -> Result<> { return {}; }));
    return layer.row.diff_id;
  }
  // "path mode nlink", a line each.
  std::string Text(const std::vector<DiffId>& layers) {
    const auto tree = store().chains().Open(layers).value();
    std::string out;
    const std::function<void(tree::Ino, const std::string&)> visit = [&](tree::Ino dir,
                                                                         const std::string& path) {
      std::vector<std::pair<std::string, tree::Ino>> names;
      EXPECT_TRUE(tree->ForEach(dir, "", [&](const tree::DirEntry& entry) {
        names.emplace_back(entry.name, entry.ino);
        return true;
      }));
      for (const auto& [name, ino] : names) {
        const tree::Inode inode = tree->Get(ino).value();
        out += path + name + " " + std::to_string(inode.attr.mode) + " " +
               std::to_string(S_ISDIR(inode.attr.mode) ? 0 : inode.nlink) + "\n";
        if (S_ISDIR(inode.attr.mode)) visit(ino, path + name + "/");
      }
    };
    visit(tree::kRootIno, "");
    return out;
  }
};

TEST_F(Squash, TheChainIsTheSameWithOneLayer) {
  const std::vector<DiffId> layers = {
      Layer({Directory("d"), File("d/changed"), File("d/gone"), File("kept"), File("l"),
             Link("m", "l"), File("was-file"), Directory("was-dir"), File("was-dir/x")}),
      Layer({Directory("d"), File("d/changed", 0600), File("d/new"), File("short-lived")}),
      Layer({Gone("d/gone"), Gone("short-lived"), Directory("was-file"), File("was-file/y"),
             File("was-dir"), File("z"), Link("zz", "z")}),
  };
  const auto squashed = build::Squash(store(), layers, 1, {});
  ASSERT_TRUE(squashed) << squashed.error().Message();
  ASSERT_EQ(squashed->size(), 2u);
  EXPECT_EQ(squashed->front(), layers.front());
  EXPECT_EQ(Text(*squashed), Text(layers));
  const auto tree = store().layers().OpenTree(squashed->back()).value();
  EXPECT_LT(tree->name_count(), 12u) << "what nobody changed is not in it";
}

TEST_F(Squash, ALinkThatIsAddedToAFileOfTheBaseTakesTheFileAlong) {
  const std::vector<DiffId> layers = {Layer({File("a")}), Layer({File("b")}),
                                      Layer({File("a"), Link("c", "a")})};
  const auto squashed = build::Squash(store(), layers, 1, {});
  ASSERT_TRUE(squashed);
  EXPECT_EQ(Text(*squashed), Text(layers));
}

TEST_F(Squash, OneLayerStaysAsItIs) {
  const std::vector<DiffId> layers = {Layer({File("a")}), Layer({File("b")})};
  EXPECT_EQ(build::Squash(store(), layers, 1, {}).value(), layers);
}

TEST_F(Squash, TheHistoryTellsOfOneLayer) {
  const std::string id = Digest::Of("x").ToString();
  const std::string config = R"({"rootfs":{"type":"layers","diff_ids":[")" + id + R"(",")" + id +
                             R"(",")" + id +
                             R"("]},"history":[{"created_by":"base"},{"created_by":"a"},)"
                             R"({"created_by":"e","empty_layer":true},{"created_by":"b"}]})";
  const std::vector<DiffId> layers = {DiffId(Digest::Of("x")), DiffId(Digest::Of("y"))};
  const auto text = SquashedConfig(config, layers, 1);
  ASSERT_TRUE(text);
  const auto json = nlohmann::json::parse(*text);
  EXPECT_EQ(json["rootfs"]["diff_ids"].size(), 2u);
  EXPECT_FALSE(json["history"][0].contains("empty_layer"));
  EXPECT_EQ(json["history"][1]["empty_layer"], true);
  EXPECT_FALSE(json["history"][3].contains("empty_layer"));
}

}  // namespace
}  // namespace veneer::build
