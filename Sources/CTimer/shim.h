#pragma once

/* Linux's timers as descriptors (timerfd_create(2)), which the C library's module for Swift leaves out. */
#ifdef __linux__
#include <sys/timerfd.h>

static inline int khp_timer_create(void) {
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

/* Fires once, so many nanoseconds from now. */
static inline int khp_timer_set(int timer, long long nanoseconds) {
    struct itimerspec time = {{0, 0}, {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    return timerfd_settime(timer, 0, &time, 0);
}
#endif
