// CRC-32C (Castagnoli, RFC 3720 appendix B.4): detects damage on disk; not a defence against
// anybody.
#pragma once

#include <cstdint>
#include <string_view>

namespace veneer {

// CRC-32C of `data`, continued from `crc` (0 to start). Uses SSE 4.2 where the CPU has it.
uint32_t Crc32c(std::string_view data, uint32_t crc = 0);

}  // namespace veneer
