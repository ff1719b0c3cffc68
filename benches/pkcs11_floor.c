/*
 * The floor for signatures through a PKCS #11 module: C_SignInit and C_Sign and nothing else, with one session a
 * thread, logged in once and the key found once. What a library adds to this is its own.
 *
 *   cc -O2 -pthread -o pkcs11_floor pkcs11_floor.c -ldl
 *   ./pkcs11_floor MODULE TOKEN PIN KEY THREADS (SECONDSs|COUNT) (ecdsa|rsa)
 *
 * `2s` signs for two seconds, `10000` that many times in all (or a few more, the same for each thread). ecdsa is
 * CKM_ECDSA on 32 octets, rsa is CKM_RSA_PKCS on a DigestInfo of SHA-256. Prints one JSON object: throughput, median
 * and 99th percentile of one signature in microseconds, CPU time of the process for one signature, how many were made
 * and how many failed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* What is needed of PKCS #11 2.40 (OASIS), sections 3 and 5. */
typedef unsigned long CK_ULONG;
typedef unsigned char CK_BYTE;

typedef struct {
    CK_ULONG type;
    void *value;
    CK_ULONG length;
} CK_ATTRIBUTE;

typedef struct {
    CK_ULONG mechanism;
    void *parameter;
    CK_ULONG length;
} CK_MECHANISM;

typedef struct {
    CK_BYTE label[32], manufacturer[32], model[16], serial[16];
    CK_ULONG flags, numbers[10];
    CK_BYTE versions[4], utc_time[16];
} CK_TOKEN_INFO;

typedef struct {
    void *create, *destroy, *lock, *unlock;
    CK_ULONG flags;
    void *reserved;
} CK_C_INITIALIZE_ARGS;

/* The list begins with a version and holds the functions in the order of section 5; 68 in all. */
enum {
    C_INITIALIZE = 0,
    C_GET_SLOT_LIST = 4,
    C_GET_TOKEN_INFO = 6,
    C_OPEN_SESSION = 12,
    C_LOGIN = 18,
    C_FIND_OBJECTS_INIT = 26,
    C_FIND_OBJECTS = 27,
    C_FIND_OBJECTS_FINAL = 28,
    C_SIGN_INIT = 42,
    C_SIGN = 43,
    FUNCTIONS = 68
};

typedef struct {
    CK_BYTE version[2];
    void *functions[FUNCTIONS];
} CK_FUNCTION_LIST;

typedef CK_ULONG (*initialize_fn)(CK_C_INITIALIZE_ARGS *);
typedef CK_ULONG (*slot_list_fn)(CK_BYTE, CK_ULONG *, CK_ULONG *);
typedef CK_ULONG (*token_info_fn)(CK_ULONG, CK_TOKEN_INFO *);
typedef CK_ULONG (*open_session_fn)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *);
typedef CK_ULONG (*login_fn)(CK_ULONG, CK_ULONG, const char *, CK_ULONG);
typedef CK_ULONG (*find_init_fn)(CK_ULONG, CK_ATTRIBUTE *, CK_ULONG);
typedef CK_ULONG (*find_fn)(CK_ULONG, CK_ULONG *, CK_ULONG, CK_ULONG *);
typedef CK_ULONG (*find_final_fn)(CK_ULONG);
typedef CK_ULONG (*sign_init_fn)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
typedef CK_ULONG (*sign_fn)(CK_ULONG, const CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

#define CKF_OS_LOCKING_OK 2UL
#define CKF_SERIAL_SESSION 4UL
#define CKU_USER 1UL
#define CKR_USER_ALREADY_LOGGED_IN 0x100UL
#define CKA_CLASS 0UL
#define CKA_LABEL 3UL
#define CKO_PRIVATE_KEY 3UL
#define CKM_RSA_PKCS 1UL
#define CKM_ECDSA 0x1041UL

static CK_FUNCTION_LIST *list;
#define CALL(type, index) ((type)list->functions[index])

static CK_ULONG key, mechanism;
static CK_BYTE message[64];
static CK_ULONG message_length;
static uint64_t quota;   /* signatures a thread, or as many as the time allows */
static uint64_t ends_at; /* nanoseconds, or never */
static pthread_barrier_t start;

typedef struct {
    CK_ULONG session;
    uint64_t *times;
    size_t count, room, failed;
} worker;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec);
    return seconds + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void check(const char *what, CK_ULONG rv) {
    if (rv != 0) {
        fprintf(stderr, "%s: %#lx\n", what, rv);
        exit(1);
    }
}

static void *sign(void *argument) {
    worker *own = argument;
    sign_init_fn sign_init = CALL(sign_init_fn, C_SIGN_INIT);
    sign_fn sign = CALL(sign_fn, C_SIGN);
    CK_MECHANISM by = {mechanism, NULL, 0};
    CK_BYTE signature[1024];
    pthread_barrier_wait(&start); /* all are here */
    pthread_barrier_wait(&start); /* the clock runs */
    for (uint64_t before = now(); own->count + own->failed < quota && before < ends_at;) {
        CK_ULONG length = sizeof signature;
        CK_ULONG rv = sign_init(own->session, &by, key);
        if (rv == 0)
            rv = sign(own->session, message, message_length, signature, &length);
        uint64_t after = now();
        if (rv != 0) {
            own->failed++;
        } else {
            if (own->count == own->room) {
                own->room = own->room ? 2 * own->room : 65536;
                own->times = realloc(own->times, own->room * sizeof *own->times);
                if (own->times == NULL)
                    abort();
            }
            own->times[own->count++] = after - before;
        }
        before = after;
    }
    return NULL;
}

static CK_ULONG slot_of(const char *label) {
    CK_ULONG slots[256], count = 256;
    check("C_GetSlotList", CALL(slot_list_fn, C_GET_SLOT_LIST)(1, slots, &count));
    for (CK_ULONG index = 0; index < count; index++) {
        CK_TOKEN_INFO info;
        char padded[33];
        if (CALL(token_info_fn, C_GET_TOKEN_INFO)(slots[index], &info) != 0)
            continue;
        snprintf(padded, sizeof padded, "%-32s", label);
        if (memcmp(padded, info.label, 32) == 0)
            return slots[index];
    }
    fprintf(stderr, "no token %s\n", label);
    exit(1);
}

static CK_ULONG find(CK_ULONG session, char *label) {
    CK_ULONG class = CKO_PRIVATE_KEY, found = 0, count = 0;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, strlen(label)}};
    check("C_FindObjectsInit", CALL(find_init_fn, C_FIND_OBJECTS_INIT)(session, template, 2));
    check("C_FindObjects", CALL(find_fn, C_FIND_OBJECTS)(session, &found, 1, &count));
    check("C_FindObjectsFinal", CALL(find_final_fn, C_FIND_OBJECTS_FINAL)(session));
    if (count != 1) {
        fprintf(stderr, "no private key %s\n", label);
        exit(1);
    }
    return found;
}

static int by_time(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: %s MODULE TOKEN PIN KEY THREADS (SECONDSs|COUNT) (ecdsa|rsa)\n", argv[0]);
        return 2;
    }
    size_t threads = strtoul(argv[5], NULL, 10);
    char *unit;
    double amount = strtod(argv[6], &unit);
    int timed = strcmp(unit, "s") == 0;
    int rsa = strcmp(argv[7], "rsa") == 0;
    if (threads < 1 || amount <= 0 || (!timed && *unit != 0) || (!rsa && strcmp(argv[7], "ecdsa") != 0)) {
        fprintf(stderr, "%s: THREADS, SECONDSs or COUNT, or the mechanism is wrong\n", argv[0]);
        return 2;
    }

    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CK_ULONG (*functions)(CK_FUNCTION_LIST **) = NULL;
    if (library != NULL)
        *(void **)&functions = dlsym(library, "C_GetFunctionList");
    if (functions == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    check("C_GetFunctionList", functions(&list));
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    check("C_Initialize", CALL(initialize_fn, C_INITIALIZE)(&arguments));

    CK_ULONG slot = slot_of(argv[2]);
    worker *workers = calloc(threads, sizeof *workers);
    pthread_t *ids = calloc(threads, sizeof *ids);
    if (workers == NULL || ids == NULL)
        abort();
    open_session_fn open_session = CALL(open_session_fn, C_OPEN_SESSION);
    for (size_t index = 0; index < threads; index++)
        check("C_OpenSession", open_session(slot, CKF_SERIAL_SESSION, NULL, NULL, &workers[index].session));
    CK_ULONG rv = CALL(login_fn, C_LOGIN)(workers[0].session, CKU_USER, argv[3], strlen(argv[3]));
    check("C_Login", rv == CKR_USER_ALREADY_LOGGED_IN ? 0 : rv);
    key = find(workers[0].session, argv[4]);

    static const CK_BYTE sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                          0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    memset(message, 0x5a, sizeof message);
    mechanism = rsa ? CKM_RSA_PKCS : CKM_ECDSA;
    message_length = rsa ? sizeof sha256_info + 32 : 32;
    if (rsa)
        memcpy(message, sha256_info, sizeof sha256_info);

    quota = timed ? UINT64_MAX : ((uint64_t)amount + threads - 1) / threads;
    ends_at = UINT64_MAX;
    pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
    for (size_t index = 0; index < threads; index++)
        pthread_create(&ids[index], NULL, sign, &workers[index]);
    pthread_barrier_wait(&start);
    double cpu = cpu_seconds();
    uint64_t begin = now();
    if (timed)
        ends_at = begin + (uint64_t)(amount * 1e9);
    pthread_barrier_wait(&start);
    for (size_t index = 0; index < threads; index++)
        pthread_join(ids[index], NULL);
    double seconds = (double)(now() - begin) / 1e9;
    cpu = cpu_seconds() - cpu;

    size_t count = 0, failed = 0;
    for (size_t index = 0; index < threads; index++) {
        count += workers[index].count;
        failed += workers[index].failed;
    }
    uint64_t *times = malloc((count ? count : 1) * sizeof *times);
    if (times == NULL)
        abort();
    size_t filled = 0;
    for (size_t index = 0; index < threads; index++) {
        if (workers[index].count > 0)
            memcpy(times + filled, workers[index].times, workers[index].count * sizeof *times);
        filled += workers[index].count;
    }
    qsort(times, count, sizeof *times, by_time);
    double p50 = count ? (double)times[count / 2] / 1e3 : 0, p99 = count ? (double)times[count * 99 / 100] / 1e3 : 0;
    printf("{\"ops_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us_op\":%.2f,\"count\":%zu,\"failed\":%zu}\n",
           (double)count / seconds, p50, p99, count ? cpu * 1e6 / (double)count : 0, count, failed);
    return failed == 0 && count > 0 ? 0 : 1;
}
