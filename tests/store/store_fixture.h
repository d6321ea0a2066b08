// What the store's tests share: a store in a temporary directory, tars made in memory, and images
// made of them.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/image_config.h"
#include "store/ingest.h"
#include "store/lease.h"
#include "store/maintenance.h"
#include "store/store.h"

namespace veneer::test {

// Ends the test with the error's text; the value otherwise.
#define ASSERT_OK(expr)                                         \
  do {                                                          \
    auto&& assert_ok_result = (expr);                           \
    ASSERT_TRUE(assert_ok_result.has_value())                   \
        << #expr << ": " << assert_ok_result.error().Message(); \
  } while (0)

#define EXPECT_OK(expr)                                         \
  do {                                                          \
    auto&& expect_ok_result = (expr);                           \
    EXPECT_TRUE(expect_ok_result.has_value())                   \
        << #expr << ": " << expect_ok_result.error().Message(); \
  } while (0)

// For helpers that return a value: a failure there is a mistake of the test, or the end of it.
template <typename T>
T Must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "unexpected error: %s\n", result.error().Message().c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct TarFile {
  std::string path;
  std::string content;
  unsigned type = AE_IFREG;
  int permissions = 0644;
  int64_t uid = 0;
  std::string hard_link = {};
  // A sparse file: `content` stands at `data_at`, and the file is `size` bytes long.
  int64_t size = -1;
  int64_t data_at = 0;
};

inline TarFile Folder(std::string path) {
  return {.path = std::move(path), .content = "", .type = AE_IFDIR, .permissions = 0755};
}

inline std::string MakeTar(const std::vector<TarFile>& files) {
  std::string out;
  archive* a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  archive_write_set_bytes_in_last_block(a, 1);  // two blocks of zeros at the end, and no more
  archive_write_open(
      a, &out, nullptr,
      [](archive*, void* to, const void* data, size_t n) -> la_ssize_t {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), n);
        return static_cast<la_ssize_t>(n);
      },
      nullptr);
  for (const TarFile& file : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, file.path.c_str());
    archive_entry_set_filetype(entry, file.type);
    archive_entry_set_perm(entry, static_cast<mode_t>(file.permissions));
    archive_entry_set_uid(entry, file.uid);
    archive_entry_set_mtime(entry, 1700000000, 0);
    if (!file.hard_link.empty()) archive_entry_set_hardlink(entry, file.hard_link.c_str());
    int64_t size = file.size >= 0 ? file.size : static_cast<int64_t>(file.content.size());
    archive_entry_set_size(entry, size);
    if (file.size >= 0) {
      archive_entry_sparse_add_entry(entry, file.data_at,
                                     static_cast<int64_t>(file.content.size()));
    }
    archive_write_header(a, entry);
    if (file.size >= 0) {
      std::string zeros(static_cast<size_t>(file.data_at), '\0');
      archive_write_data(a, zeros.data(), zeros.size());
    }
    archive_write_data(a, file.content.data(), file.content.size());
    if (file.size >= 0) {
      size_t rest = static_cast<size_t>(file.size - file.data_at) - file.content.size();
      std::string zeros(rest, '\0');
      archive_write_data(a, zeros.data(), zeros.size());
    }
    archive_entry_free(entry);
  }
  archive_write_close(a);
  archive_write_free(a);
  return out;
}

class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string_view data) : left_(data) {}
  Result<std::string_view> Next() override {
    return std::exchange(left_, left_.substr(left_.size()));
  }

 private:
  std::string_view left_;
};

class StringSink : public ByteSink {
 public:
  Result<> Write(std::string_view data) override {
    text.append(data);
    return {};
  }
  std::string text;
};

// The config of an image of these layers, as builders write it.
inline std::string MakeConfig(const std::vector<DiffId>& layers, const std::string& comment = "") {
  nlohmann::ordered_json ids = nlohmann::ordered_json::array();
  for (const DiffId& layer : layers) ids.push_back(layer.ToString());
  nlohmann::ordered_json config = {{"architecture", HostArchitecture()},
                                   {"os", "linux"},
                                   {"config", {{"Cmd", {"/bin/sh"}}}},
                                   {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}};
  if (!comment.empty()) config["comment"] = comment;
  return config.dump();
}

// Ingests and publishes one layer, without an image.
inline Result<DiffId> AddLayer(Store& store, std::string_view tar) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  StringSource source(tar);
  TRY_ASSIGN(StagedLayer layer, IngestLayerTar(*session, source));
  TRY(session->Publish(std::span(&layer, 1), [] { return Result<>(); }));
  return layer.row.diff_id;
}

// Ingests the tars and publishes an image of them in one transaction.
inline Result<ImageId> AddImage(Store& store, const std::vector<std::string>& tars,
                                const std::string& reference = "") {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  std::vector<StagedLayer> staged;
  std::vector<DiffId> ids;
  for (const std::string& tar : tars) {
    StringSource source(tar);
    TRY_ASSIGN(StagedLayer layer, IngestLayerTar(*session, source));
    ids.push_back(layer.row.diff_id);
    staged.push_back(std::move(layer));
  }
  std::string config = MakeConfig(ids);
  ImageId image = ImageConfig::IdOf(config);
  TRY(session->Publish(staged, [&]() -> Result<> {
    TRY(store.catalog().PutImage({image, config, 1700000000}, ids));
    if (!reference.empty()) TRY(store.catalog().SetReference(reference, image));
    return {};
  }));
  return image;
}

inline Result<std::string> TarOf(Store& store, const DiffId& layer) {
  StringSink sink;
  TRY(store.layers().WriteTar(layer, sink));
  return sink.text;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "veneer-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    root_ = base_ + "/store";
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::error_code ec;
    std::filesystem::remove_all(base_, ec);
  }

  void Reopen() {
    store_.reset();
    auto opened = Store::Open(root_);
    ASSERT_OK(opened);
    store_ = std::move(*opened);
  }
  Store& store() { return *store_; }

  std::string PathOf(const std::string& relative) const { return root_ + "/" + relative; }
  std::string PathOf(const ObjectId& id) const { return PathOf(ObjectStore::PathOf(id)); }
  static ObjectId ObjectOf(std::string_view content) { return ObjectId(Digest::Of(content)); }

  // Regular files below a folder of the store, relative to it.
  std::vector<std::string> FilesIn(const std::string& folder) const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(PathOf(folder)))
      if (!entry.is_directory()) files.push_back(entry.path().lexically_relative(root_));
    std::sort(files.begin(), files.end());
    return files;
  }

  // Changes one byte of a file of the store, read-only or not.
  void FlipByte(const std::string& path, off_t at) {
    int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0) << path;
    char byte = 0;
    ASSERT_EQ(pread(fd, &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 0x40);
    ASSERT_EQ(pwrite(fd, &byte, 1, at), 1);
    close(fd);
  }

  // Starts a child that runs `body` with a store of its own; `body` returns the exit status. Closes
  // this process' store: SQLite must not be carried over a fork. Reopen() when all are started.
  pid_t Start(const std::function<int(Store&)>& body) {
    store_.reset();
    pid_t child = fork();
    if (child == 0) {
      auto opened = Store::Open(root_);
      _exit(opened ? body(**opened) : 99);
    }
    return child;
  }
  static int WaitFor(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return status;
  }
  int InChild(const std::function<int(Store&)>& body) {
    int status = WaitFor(Start(body));
    Reopen();
    return status;
  }

  std::string base_;  // removed with all below it
  std::string root_;
  std::unique_ptr<Store> store_;
};

}  // namespace veneer::test
