// Counts the lines or words of standard input.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  const int words = argc > 1 && strcmp(argv[1], "words") == 0;
  unsigned long count = 0;
  int c, inside = 0;
  while ((c = getchar()) != EOF) {
    if (words) {
      count += !isspace(c) && !inside;
      inside = !isspace(c);
    } else {
      count += c == '\n';
    }
  }
  printf("%lu\n", count);
  return 0;
}
