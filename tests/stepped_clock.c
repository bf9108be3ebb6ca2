/* For LD_PRELOAD: one process whose wall clock is off by as much as a file says, and kept by a time service or not.

   The file that STEPPED_CLOCK names holds two int64: nanoseconds, and 1 where the clock counts as synchronised. It is
   mapped, so that a step is seen at once. The monotonic clock stays what it is. What waits until a moment of the wall
   clock waits until that moment as it stood when the wait began. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile int64_t *state;
static volatile int64_t none[2] = {0, 1};

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEPPED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    state = mapped == MAP_FAILED ? none : mapped;
}

static int64_t offset(void) { return state ? state[0] : 0; }

static void shift(struct timespec *time, int64_t by) {
    int64_t ns = time->tv_sec * SECOND + time->tv_nsec + by;
    time->tv_sec = ns / SECOND;
    time->tv_nsec = ns % SECOND;
    if (time->tv_nsec < 0) {
        time->tv_nsec += SECOND;
        time->tv_sec -= 1;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(time, offset());
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *about) {
    (void)about;
    return state && !state[1] ? TIME_ERROR : TIME_OK;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec moved = *until;
    shift(&moved, -offset());
    return real(semaphore, &moved);
}
