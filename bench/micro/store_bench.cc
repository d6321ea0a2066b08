// The store: writing objects, reading a layer's tar.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include "bench/micro/scratch.h"
#include "store/archive/layer_tar.h"
#include "store/base/digest.h"
#include "store/object_store.h"

namespace veneer::bench {
namespace {

// `state.range(0)` bytes each; made durable together, a hundred at a time.
void ObjectWrite(benchmark::State& state) {
  constexpr int kTogether = 100;
  Scratch scratch;
  scratch.MakeDir("objects");
  ObjectStore store(scratch.fd());
  std::string content(static_cast<size_t>(state.range(0)), 'x');
  int64_t number = 0;
  for (auto _ : state) {
    std::string name = "staging" + std::to_string(number);
    scratch.MakeDir(name);
    UniqueFd dir(open((scratch / name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto staging = Must(ObjectStaging::Create(store, scratch.fd(), dir.get()));
    for (int i = 0; i < kTogether; ++i) {
      std::string first = std::to_string(++number);
      content.replace(0, first.size(), first);
      staging->Begin();
      Must(staging->Write(0, content));
      Must(staging->Finish(content.size()));
    }
    SyncSet set(dir.get());
    Must(staging->AddContents(set));
    Must(set.Sync());
    Must(staging->Name());
    staging->AddNames(set);
    Must(set.Sync());
  }
  state.SetItemsProcessed(number);
  state.SetBytesProcessed(number * state.range(0));
}
BENCHMARK(ObjectWrite)->ArgName("bytes")->Arg(512)->Arg(4096)->Arg(1 << 20)->UseRealTime();

void Hash(benchmark::State& state) {
  std::string content(1 << 20, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(Digest::Of(content));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(content.size()));
}
BENCHMARK(Hash);

// A tar of `count` files of `size` bytes, in memory.
std::string MakeTar(int64_t count, size_t size) {
  std::string tar;
  for (int64_t i = 0; i < count; ++i) {
    char header[512] = {};
    std::snprintf(header, 100, "dir/%s", FileName(i).c_str());
    std::snprintf(header + 100, 8, "%07o", 0644u);
    std::snprintf(header + 108, 8, "%07o", 0u);
    std::snprintf(header + 116, 8, "%07o", 0u);
    std::snprintf(header + 124, 12, "%011lo", static_cast<unsigned long>(size));
    std::snprintf(header + 136, 12, "%011o", 1700000000u);
    std::snprintf(header + 148, 9, "        ");
    header[156] = '0';
    std::snprintf(header + 257, 8, "ustar");
    header[263] = header[264] = '0';
    unsigned sum = 0;
    for (unsigned char byte : header) sum += byte;
    std::snprintf(header + 148, 8, "%06o", sum);
    tar.append(header, sizeof header).append(size, 'x');
    tar.resize((tar.size() + 511) / 512 * 512);
  }
  tar.resize(tar.size() + 1024);
  return tar;
}

class Memory : public ByteSource {
 public:
  explicit Memory(std::string_view bytes) : bytes_(bytes) {}
  Result<std::string_view> Next() override {
    std::string_view piece = bytes_.substr(0, 128 << 10);
    bytes_.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view bytes_;
};

class Nothing : public LayerTarVisitor {
 public:
  Result<> OnEntry(const TarEntry&) override { return {}; }
  Result<> OnContent(uint64_t, std::string_view) override { return {}; }
  Result<> OnEntryEnd() override { return {}; }
  Result<> OnLiteral(std::string_view) override { return {}; }
  Result<> OnPayload(const std::vector<PayloadExtent>&) override { return {}; }
};

// Reading and hashing a layer's tar, by the size of its files.
void LayerTarHash(benchmark::State& state) {
  size_t size = static_cast<size_t>(state.range(0));
  std::string tar = MakeTar(static_cast<int64_t>((16 << 20) / (size + 512)), size);
  for (auto _ : state) {
    Memory memory(tar);
    HashingSource hashing(memory);
    Nothing nothing;
    Must(ReadLayerTar(hashing, nothing));
    benchmark::DoNotOptimize(hashing.digest());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(tar.size()));
}
BENCHMARK(LayerTarHash)->ArgName("bytes")->Arg(512)->Arg(8192)->Arg(1 << 20);

}  // namespace
}  // namespace veneer::bench
