/* Pauses before file operations, before bytes go to a server and before child processes start, for tests of what happens when processes meet.
 * LIFEBOAT_TEST_PAUSES="SEED ONE_IN LONGEST_US": one call in ONE_IN pauses, up to LONGEST_US microseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;
static unsigned one_in, longest;
static int ready;

static void setup(void) {
    const char *text = getenv("LIFEBOAT_TEST_PAUSES");
    unsigned long long seed = 0;
    ready = 1;
    if (!text || sscanf(text, "%llu %u %u", &seed, &one_in, &longest) != 3) {
        one_in = 0;
        return;
    }
    /* What the program is asked to do, so that two children of one parent differ and two runs of one seed do not. */
    char line[4096];
    int fd = (int)((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))("/proc/self/cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line);
    if (fd >= 0) close(fd);
    state = seed * 0x9e3779b97f4a7c15u + 1;
    for (ssize_t i = 0; i < n; i++) state = (state ^ (unsigned char)line[i]) * 0x100000001b3u;
    if (!state) state = 1;
}

static void meet(void) {
    if (!ready) setup();
    if (!one_in) return;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % one_in == 0) usleep((state >> 20) % longest);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define BEFORE(type, name, params, args) \
    type name params { meet(); return REAL(name) args; }

BEFORE(int, rename, (const char *a, const char *b), (a, b))
BEFORE(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b))
BEFORE(int, link, (const char *a, const char *b), (a, b))
BEFORE(int, linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
BEFORE(int, unlink, (const char *a), (a))
BEFORE(int, unlinkat, (int d, const char *a, int f), (d, a, f))
BEFORE(int, mkdir, (const char *a, mode_t m), (a, m))
BEFORE(int, mkdirat, (int d, const char *a, mode_t m), (d, a, m))
BEFORE(int, rmdir, (const char *a), (a))
BEFORE(int, fsync, (int fd), (fd))
BEFORE(int, flock, (int fd, int how), (fd, how))
BEFORE(int, ftruncate64, (int fd, off64_t n), (fd, n))
BEFORE(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
BEFORE(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
BEFORE(int, posix_spawnp, (pid_t *p, const char *f, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *t,
    char *const v[], char *const e[]), (p, f, a, t, v, e))
BEFORE(int, execvp, (const char *f, char *const v[]), (f, v))

#define OPEN(name, params, args) \
    int name params { \
        va_list rest; va_start(rest, how); \
        mode_t mode = how & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        meet(); return REAL(name) args; \
    }
OPEN(open, (const char *a, int how, ...), (a, how, mode))
OPEN(open64, (const char *a, int how, ...), (a, how, mode))
OPEN(openat, (int d, const char *a, int how, ...), (d, a, how, mode))
OPEN(openat64, (int d, const char *a, int how, ...), (d, a, how, mode))
