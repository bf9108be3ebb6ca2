/* For LD_PRELOAD: one process whose clocks are off by as much as a file says, and kept by a time service or not.

   The file that STEPPED_CLOCK names holds three int64: nanoseconds of the wall clock, 1 where it counts as
   synchronised, and nanoseconds of the clocks that never jump. It is mapped, so that a step is seen at once. What waits
   until a moment of a clock waits until that moment as it stood when the wait began. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
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
static volatile int64_t none[3] = {0, 1, 0};

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEPPED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, 24, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    state = mapped == MAP_FAILED ? none : mapped;
}

static int64_t offset(void) { return state ? state[0] : 0; }

static int64_t offset_of(clockid_t clock) {
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) return offset();
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW ||
        clock == CLOCK_BOOTTIME)
        return state ? state[2] : 0;
    return 0;
}

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
    if (!failed) shift(time, offset_of(clock));
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
    int kept = !state || state[1];
    about->maxerror = kept ? 1000 : 16000000;
    return kept ? TIME_OK : TIME_ERROR;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec moved = *until;
    shift(&moved, -offset());
    return real(semaphore, &moved);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until) {
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_clockwait");
    struct timespec moved = *until;
    shift(&moved, -offset_of(clock));
    return real(semaphore, clock, &moved);
}

int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    struct timespec moved = *until;
    shift(&moved, -offset_of(clock));
    return real(condition, mutex, clock, &moved);
}

/* A condition does not say which clock is its own. Python's are those of the monotonic one, of which the wall clock is
   decades ahead. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec moved = *until;
    if (moved.tv_sec < 1000000000) shift(&moved, -offset_of(CLOCK_MONOTONIC));
    return real(condition, mutex, &moved);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left) {
    struct timespec moved = *wanted;
    if (flags & TIMER_ABSTIME) shift(&moved, -offset_of(clock));
    return syscall(SYS_clock_nanosleep, clock, flags, &moved, left) ? errno : 0;
}
