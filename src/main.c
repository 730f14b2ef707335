/* main.c: the command line, and the order in which things start. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("agentd 0.1.0");
        return 0;
    }
    fputs("usage: agentd serve|key|keyring\n", stderr);
    return 2;
}
