#include "tools/build/run/probe_program.h"

#include <elf.h>

#include <cstdint>
#include <cstring>

namespace veneer::build {
namespace {

// exit_group(0), and which machine that is for.
#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr uint8_t kCode[] = {0x31, 0xff,                    // xor edi, edi
                             0xb8, 0xe7, 0x00, 0x00, 0x00,  // mov eax, 231
                             0x0f, 0x05};                   // syscall
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr uint8_t kCode[] = {0x00, 0x00, 0x80, 0xd2,   // mov x0, #0
                             0xc8, 0x0b, 0x80, 0xd2,   // mov x8, #94
                             0x01, 0x00, 0x00, 0xd4};  // svc #0
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint16_t kMachine = EM_RISCV;
constexpr uint8_t kCode[] = {0x13, 0x05, 0x00, 0x00,   // li a0, 0
                             0x93, 0x08, 0xe0, 0x05,   // li a7, 94
                             0x73, 0x00, 0x00, 0x00};  // ecall
#elif defined(__s390x__)
constexpr uint16_t kMachine = EM_S390;
constexpr uint8_t kCode[] = {0xa7, 0x29, 0x00, 0x00,  // lghi %r2, 0
                             0x0a, 0xf8};             // svc 248
#else
constexpr uint16_t kMachine = EM_NONE;
constexpr uint8_t kCode[] = {0};
#endif

constexpr uint64_t kBase = 0x400000;
constexpr size_t kHeaders = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);

}  // namespace

Result<std::string> ProbeProgram() {
  if (kMachine == EM_NONE) return Fail(ENOTSUP, "make a program for this machine");
  const uint16_t one = 1;
  const bool little = *reinterpret_cast<const uint8_t*>(&one) == 1;

  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = little ? ELFDATA2LSB : ELFDATA2MSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = kMachine;
  header.e_version = EV_CURRENT;
  header.e_entry = kBase + kHeaders;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;

  Elf64_Phdr segment = {};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_X;
  segment.p_vaddr = kBase;
  segment.p_paddr = kBase;
  segment.p_filesz = kHeaders + sizeof kCode;
  segment.p_memsz = segment.p_filesz;
  segment.p_align = 0x10000;  // the largest page any of these machines has

  std::string out;
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  out.append(reinterpret_cast<const char*>(kCode), sizeof kCode);
  return out;
}

}  // namespace veneer::build
