/* tests/fuzz/fuzz.h: what every fuzz target has.
 *
 * A target is tests/fuzz/<target>.c with LLVMFuzzerTestOneInput, which says with MUST what holds for
 * any input. `make fuzz T=<target> SECONDS=60` looks for new inputs; `make fuzz-replay` runs what
 * is kept in corpus/<target>/ (small seeds) and regress/<target>/ (what once broke). */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#define MUST(expr) ((expr) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr), abort()))
