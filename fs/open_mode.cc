#include "fs/open_mode.h"

namespace veneer::fs {

OpenModes::Opened OpenModes::Open(NodeId node, bool writable, int final_fd,
                                  const std::function<int(int fd)>& add) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  State& state = shard.nodes[static_cast<uint64_t>(node)];
  if (state.cached == 0 && state.passthrough == 0 && final_fd >= 0) {
    state.backing_id = add(final_fd);
  }
  Opened opened;
  if (state.cached == 0 && state.backing_id > 0) {
    ++state.passthrough;
    if (writable) {
      opened.first_writer = state.writers++ == 0;
      state.stale_pages = true;
    }
    opened.backing_id = state.backing_id;
    return opened;
  }
  state.backing_id = 0;
  ++state.cached;
  if (writable) ++state.cached_writers;
  opened.keep_pages = !state.stale_pages;
  state.stale_pages = false;
  return opened;
}

OpenModes::Closed OpenModes::Close(NodeId node, bool writable, bool passthrough) {
  Closed closed;
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  if (it == shard.nodes.end()) return closed;
  State& state = it->second;
  if (!passthrough) {
    if (state.cached > 0) --state.cached;
    if (writable && state.cached_writers > 0) --state.cached_writers;
  } else if (state.passthrough > 0) {
    if (writable && state.writers > 0) closed.last_writer = --state.writers == 0;
    if (--state.passthrough == 0) {
      closed.backing_id = state.backing_id;
      state.backing_id = 0;
    }
  }
  if (state.cached == 0 && state.passthrough == 0 && !state.stale_pages) shard.nodes.erase(it);
  return closed;
}

bool OpenModes::ChangesUnseen(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  return it != shard.nodes.end() && it->second.writers > 0;
}

std::vector<NodeId> OpenModes::CachedWriters() {
  std::vector<NodeId> nodes;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mu);
    for (const auto& [node, state] : shard.nodes) {
      if (state.cached_writers > 0) nodes.push_back(NodeId{node});
    }
  }
  return nodes;
}

void OpenModes::Forget(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  if (it == shard.nodes.end() || it->second.cached > 0 || it->second.passthrough > 0) return;
  shard.nodes.erase(it);
}

}  // namespace veneer::fs
