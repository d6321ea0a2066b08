// NameList: the names of an inode. Nearly all have one, which needs no memory of its own; a vector
// in use, so far as it goes. Not thread-safe. Names that are in it have a parent.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace veneer::fs {

class Inode;
using InodePtr = std::shared_ptr<Inode>;

struct Name {
  InodePtr parent;
  std::string name;
};

class NameList {
 public:
  Name* begin() { return several_ ? several_->data() : &one_; }
  Name* end() { return begin() + size(); }
  const Name* begin() const { return several_ ? several_->data() : &one_; }
  const Name* end() const { return begin() + size(); }
  size_t size() const { return several_ ? several_->size() : one_.parent ? 1 : 0; }
  bool empty() const { return size() == 0; }
  const Name& operator[](size_t i) const { return begin()[i]; }
  const Name& front() const { return *begin(); }  // REQUIRES: !empty()

  void push_back(Name name) {
    if (several_) {
      several_->push_back(std::move(name));
    } else if (empty()) {
      one_ = std::move(name);
    } else {
      auto both = std::make_unique<std::vector<Name>>();
      both->reserve(2);
      both->push_back(std::exchange(one_, {}));
      both->push_back(std::move(name));
      several_ = std::move(both);
    }
  }

  // Takes the name at `at` out, which is one of them.
  Name Take(Name* at) {
    if (!several_) return std::exchange(one_, {});
    Name taken = std::move(*at);
    several_->erase(several_->begin() + (at - several_->data()));
    if (several_->size() == 1) {
      one_ = std::move(several_->front());
      several_.reset();
    }
    return taken;
  }

 private:
  Name one_;                                    // of nobody while there are several
  std::unique_ptr<std::vector<Name>> several_;  // two or more
};

}  // namespace veneer::fs
