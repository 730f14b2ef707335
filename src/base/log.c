#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"

enum { LINE_BYTES_MAX = 2048 };
static int log_fd = STDERR_FILENO;

void log_open(int fd)
{
    log_fd = fd;
}

void log_line(enum log_level level, const char *name, const char *format, ...)
{
    static const char *const words[] = {"info", "warning", "error"};
    char line[LINE_BYTES_MAX];
    size_t used = CLOCK_TEXT_BYTES;
    va_list args;

    if (log_fd < 0) return;
    clock_print(clock_now_us(), line);
    used += (size_t)snprintf(line + used, sizeof line / 2, " %s %s ", words[level], name);
    va_start(args, format);
    int wanted = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    if (wanted > 0) used += (size_t)wanted < sizeof line - used - 1 ? (size_t)wanted : sizeof line - used - 2;
    /* One line is one event, whatever it says. */
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ') line[i] = ' ';
    line[used++] = '\n';
    if (write(log_fd, line, used) < 0) return;
}
