// Tells ThreadSanitizer about Synchronization.Mutex on Linux. The quick ways in and out are inlined and
// seen; those of a contended mutex lie in libswiftSynchronization, which is not instrumented, so that whatever the mutex
// guards seems to race as soon as somebody had to wait for it. Preloaded, this says "acquired" behind the one and
// "released" before the other, at the address of the mutex, where the instrumented half looks for it.

#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void (*lock_t)(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void (*unlock_t)(__attribute__((swift_context)) void *);

// _MutexHandle._lockSlow(_: UInt32)
__attribute__((swiftcall)) void khp_lock(uint32_t thread, __attribute__((swift_context)) void *mutex) __asm__(LOCK);
__attribute__((swiftcall)) void khp_lock(uint32_t thread, __attribute__((swift_context)) void *mutex) {
    static lock_t real;
    if (!real) real = (lock_t)dlsym(RTLD_NEXT, LOCK);
    real(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

// _MutexHandle._unlockSlow()
__attribute__((swiftcall)) void khp_unlock(__attribute__((swift_context)) void *mutex) __asm__(UNLOCK);
__attribute__((swiftcall)) void khp_unlock(__attribute__((swift_context)) void *mutex) {
    static unlock_t real;
    if (!real) real = (unlock_t)dlsym(RTLD_NEXT, UNLOCK);
    if (__tsan_release) __tsan_release(mutex);
    real(mutex);
}
