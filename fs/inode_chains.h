// InodeChains: a hash table whose nodes are the inodes themselves, each linked to the next of its
// bucket by one of its members: finding one reads its bucket and the inode, and there is no memory
// but that for the buckets, which shrink with the number of inodes. It owns none of them. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace veneer::fs {

// `kNext`: the member for this table; `kKey`: what inodes are found by, a number.
template <typename Node, Node* Node::* kNext, auto kKey>
class InodeChains {
 public:
  // Some inode with `key`, or nullptr.
  Node* Find(uint64_t key) const {
    if (!buckets_) return nullptr;
    Node* at = buckets_[BucketOf(key)];
    while (at != nullptr && KeyOf(*at) != key) at = at->*kNext;
    return at;
  }

  // REQUIRES: `node` is not in the table.
  void Add(Node* node) {
    if (size_ >= buckets()) Resize(buckets_ ? bits_ + 1 : kFewestBits);
    if (!buckets_) throw std::bad_alloc();  // otherwise longer chains will do
    Link(node);
    ++size_;
  }

  // False: it is not in the table.
  bool Remove(const Node* node) {
    if (!buckets_) return false;
    Node** at = &buckets_[BucketOf(KeyOf(*node))];
    while (*at != nullptr && *at != node) at = &((*at)->*kNext);
    if (*at == nullptr) return false;
    *at = std::exchange((*at)->*kNext, nullptr);
    --size_;
    if (bits_ > kFewestBits && size_ < buckets() / 4) Resize(bits_ - 1);
    return true;
  }

  // Takes all out: the first, which `kNext` links to the others.
  Node* TakeAll() {
    Node* all = nullptr;
    for (size_t i = 0; i < buckets(); ++i) {
      while (Node* node = buckets_[i]) {
        buckets_[i] = node->*kNext;
        node->*kNext = std::exchange(all, node);
      }
    }
    buckets_.reset();
    size_ = 0;
    return all;
  }

  size_t size() const { return size_; }
  size_t buckets() const { return buckets_ ? size_t{1} << bits_ : 0; }

 private:
  static constexpr unsigned kFewestBits = 4;

  static uint64_t KeyOf(const Node& node) { return static_cast<uint64_t>(node.*kKey); }
  // Numbers that follow each other come to different buckets, and so do those of one shard.
  size_t BucketOf(uint64_t key) const { return key * 0x9e3779b97f4a7c15 >> (64 - bits_); }
  void Link(Node* node) {
    Node*& bucket = buckets_[BucketOf(KeyOf(*node))];
    node->*kNext = std::exchange(bucket, node);
  }
  // Where there is no memory for it nothing changes.
  void Resize(unsigned bits) {
    std::unique_ptr<Node*[]> fresh(new (std::nothrow) Node* [size_t{1} << bits] {});
    if (!fresh) return;
    const size_t before = buckets();
    std::swap(buckets_, fresh);
    bits_ = bits;
    for (size_t i = 0; i < before; ++i) {
      for (Node* node = fresh[i]; node != nullptr;) Link(std::exchange(node, node->*kNext));
    }
  }

  std::unique_ptr<Node*[]> buckets_;
  unsigned bits_ = kFewestBits;
  size_t size_ = 0;
};

}  // namespace veneer::fs
