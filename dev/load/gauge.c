#include "gauge.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The scheduler counts nanoseconds; utime and stime only ticks of 10 ms. A
 * thread that ended is missing here, so the larger of the two is taken. */
static int64_t schedstat_us(int pid, int64_t *threads)
{
    char path[320];
    int64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return -1;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        long long ns;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file) continue;
        if (fscanf(file, "%lld", &ns) == 1) sum += ns / 1000;
        fclose(file);
        ++*threads;
    }
    closedir(tasks);
    return sum;
}

static int64_t ticks_us(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = 0;
    const char *after = strrchr(text, ')');
    unsigned long user = 0, system = 0;
    if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return -1;
    return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

static int64_t field_kb(int pid, const char *file_name, const char *key)
{
    char path[64], line[256];
    int64_t kb = -1;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file_name);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    while (kb < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) kb = strtoll(line + strlen(key), NULL, 10);
    fclose(file);
    return kb;
}

struct gauge gauge_read(int pid)
{
    struct gauge gauge = {0};
    int64_t ticks = ticks_us(pid);
    gauge.cpu_us = schedstat_us(pid, &gauge.threads);
    if (ticks > gauge.cpu_us + 20000 || gauge.cpu_us == 0) gauge.cpu_us = ticks;
    gauge.anonymous_kb = field_kb(pid, "smaps_rollup", "Anonymous:");
    if (gauge.anonymous_kb < 0) gauge.anonymous_kb = field_kb(pid, "status", "RssAnon:");
    gauge.resident_kb = field_kb(pid, "status", "VmRSS:");
    return gauge;
}
