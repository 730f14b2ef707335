/* dev/rehearsal/manual.h: what --help prints: every directive and route. */
#pragma once

/* The pieces of it, in order; the last one is null. */
extern const char *const manual[];
