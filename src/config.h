/* config.h: settings: a struct made of the rows of config.def.
 *
 * Command line before environment before default. A name or a value that is wrong is a sentence. */
#pragma once
#include <stdio.h>
#include "base/str.h"

struct config {
#define TEXT(name, normal, sentence) struct str name;
#define NUMBER(name, unit, low, normal, high, sentence) int64_t name;
#include "config.def"
#undef TEXT
#undef NUMBER
};

/* Defaults, then the environment ("AGENTD_RUNS_MAX"), then arguments ("--runs-max 5", "--runs-max=5"). Texts are
 * borrowed from both. ERR_INVALID. */
struct err config_read(struct arena *, char *const *environment, int count, char *const *arguments, struct config *out) MUST_CHECK;
/* The rows, for --help and for docs/settings.md. */
void config_print_help(FILE *);
void config_print_page(FILE *);
/* "HOST:PORT", "[::1]:8700". ERR_INVALID: the sentence names the option. */
struct err config_address(struct arena *, const char *option, struct str text, struct str *host, int *port) MUST_CHECK;
