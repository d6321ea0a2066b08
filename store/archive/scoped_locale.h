// While it lives, this thread's locale is the given one; libarchive converts names between the
// locale's character set and the archive's.
#pragma once

#include <clocale>

#include "store/base/result.h"

namespace veneer {

class ScopedLocale {
 public:
  explicit ScopedLocale(const char* name) : locale_(newlocale(LC_CTYPE_MASK, name, locale_t{})) {
    if (locale_ != locale_t{}) previous_ = uselocale(locale_);
  }
  ~ScopedLocale() {
    if (locale_ == locale_t{}) return;
    uselocale(previous_);
    freelocale(locale_);
  }
  ScopedLocale(const ScopedLocale&) = delete;
  ScopedLocale& operator=(const ScopedLocale&) = delete;

  explicit operator bool() const { return locale_ != locale_t{}; }

 private:
  locale_t locale_;
  locale_t previous_{};
};

}  // namespace veneer
