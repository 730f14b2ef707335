/* dev/load/gauge.h: what a process has cost so far, read from /proc. */
#pragma once
#include <stdint.h>

struct gauge {
    int64_t cpu_us;            /* all threads, user and system; -1: no such process */
    int64_t anonymous_kb;      /* memory that no file backs */
    int64_t resident_kb;
    int64_t threads;
};

struct gauge gauge_read(int pid);
