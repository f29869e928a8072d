/* What a fuzz target exports: to libFuzzer, or to replay.c. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input of any size; always 0. Called again and again in one process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Called once before, when the target has one. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

#endif
