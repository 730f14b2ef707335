/* tests/fuzz/replay.c: a target without libFuzzer: runs each file that is named, or lies in a folder
 * that is named, once. Any compiler, any sanitizer, the same each time. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include "fuzz.h"

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    size_t count = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(count ? count : 1); /* exactly as long, so that a sanitizer sees each byte too many */
    if (!bytes || fread(bytes, 1, count, f) != count) abort();
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, count);
    free(bytes);
    return 1;
}

static int run(const char *path)
{
    char inner[4096];
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) return run_file(path);
    for (struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        count += run_file(inner);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) count += run(argv[i]);
    printf("%s: %d inputs\n", argv[0], count);
    return count == 0;
}
