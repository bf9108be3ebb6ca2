/* A CUDA driver for tests on machines without a GPU: device memory is host memory, a stream is a queue
 * that runs when somebody synchronises, a kernel is a C function from $FAKECUDA_KERNELS.
 *
 * What it is for: running real pycuda code (allocations, pinned memory, streams, events, contexts and
 * threads, CUDA graphs over ctypes) in tests, and catching
 *   - reading a result before synchronising (the copy has not run yet),
 *   - a driver call on a thread without a current context (201, as on a real device),
 *   - memory left allocated at exit ($FAKECUDA_REPORT=1 prints it).
 * What it is not: CUDA.  No timing, no real kernels, and TensorRT does not run on it.
 *
 * Told by the environment, so that a test can play any GPU:
 *   CUDA_STUB_RESULT=n     every call answers CUresult n
 *   FAKECUDA_FAIL=f=n      the function f answers CUresult n; `copy` is every copy; an n that no context outlives kills it
 *   FAKECUDA_DIES_AFTER=n  the n-th wait for a stream answers 700 (illegal address), and so does every call after it
 *   FAKECUDA_NODE=path     its device; who may not open it hears 999
 *   FAKECUDA_NO_CAPTURE=1  what is recorded turns out not to be recordable (901 at its end)
 *   FAKECUDA_MEMORY_MB=n   so much memory there is (8192)
 *   FAKECUDA_INTEGRATED=0  a card of its own; else the GPU of a Jetson, compute capability 8.7
 *
 * Kernels: $FAKECUDA_KERNELS names a shared library; launching kernel K calls
 *   void fake_K(const void *argument_buffer, const unsigned grid[3], const unsigned block[3]).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, NOT_FOUND = 500, NOT_READY = 600, CAPTURE_UNMATCHED = 903 };
typedef struct op { struct op *next; int kind; void *dst; const void *src; size_t n; void *fn; unsigned g[6]; void *ev; } op;
typedef struct stream { op *first, **last; int capturing; op *rec, **rec_last; } stream;
typedef struct graph { op *first; } graph;
typedef struct event { int recorded, done; double t; void *stream; } event;
typedef struct func { char name[128]; void *fn; } func;
typedef struct block { struct block *next; char *p; size_t n; int pinned; } block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *blocks;
static size_t total = (size_t)8 << 30, used;
static int primary, retained;
static __thread int depth;
static double clock_us;
static stream null_stream;

static void report(void) {
  if (!getenv("FAKECUDA_REPORT")) return;
  for (block *b = blocks; b; b = b->next) fprintf(stderr, "fakecuda: left %s %zu bytes\n", b->pinned ? "pinned" : "device", b->n);
  if (retained) fprintf(stderr, "fakecuda: primary context still retained %d times\n", retained);
}
static int dead;
static int number(const char *name, int otherwise) { const char *s = getenv(name); return s ? atoi(s) : otherwise; }
static int sticky(int n) { return n == 214 || n == 220 || n == 700 || n == 702 || n == 709 || n == 710 || (n >= 714 && n <= 719) || n == 999; }
static int told(const char *name) {                              /* $FAKECUDA_FAIL */
  const char *s = getenv("FAKECUDA_FAIL"); size_t n = strlen(name);
  if (!s || strncmp(s, name, n) || s[n] != '=') return OK;
  int code = atoi(s + n + 1);
  if (depth > 0 && sticky(code)) dead = code;
  return code;
}
static int missing(const char *name) { return dead ? dead : told(name) ? told(name) : number("CUDA_STUB_RESULT", 0); }
#define ASK if (missing(__func__)) return missing(__func__)
#define NEED_CTX ASK; if (depth <= 0) return INVALID_CONTEXT
static stream *st(void *s) { stream *q = s ? s : &null_stream; if (!q->last) q->last = &q->first; return q; }
static block *find(const void *p) { for (block *b = blocks; b; b = b->next) if ((const char *)p >= b->p && (const char *)p < b->p + b->n) return b; return 0; }
static int take(void **out, size_t n, int pinned) {
  if (!n) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  int rc = OK;
  if (!pinned && used + n > total) rc = OUT_OF_MEMORY;
  else { block *b = malloc(sizeof *b); b->p = aligned_alloc(512, (n + 511) / 512 * 512); memset(b->p, 0xA5, n); b->n = n; b->pinned = pinned; b->next = blocks; blocks = b; if (!pinned) used += n; *out = b->p; }
  pthread_mutex_unlock(&lock);
  return rc;
}
static int give(const void *p) {
  pthread_mutex_lock(&lock);
  int rc = INVALID_VALUE;
  for (block **b = &blocks; *b; b = &(*b)->next) if ((*b)->p == p) { block *d = *b; *b = d->next; if (!d->pinned) used -= d->n; free(d->p); free(d); rc = OK; break; }
  pthread_mutex_unlock(&lock);
  return rc;
}
static void run_op(op *o) {
  if (o->kind == 0) memcpy(o->dst, o->src, o->n);
  else if (o->kind == 1) { ((void (*)(const void *, const unsigned *, const unsigned *))o->fn)(o->src, o->g, o->g + 3); }
  else if (o->kind == 2) memset(o->dst, (int)o->g[0], o->n);
  else if (o->kind == 4) ((void (*)(void *))o->fn)(o->ev);
  else if (o->kind == 3) { ((event *)o->ev)->done = 1; ((event *)o->ev)->t = clock_us; }
  clock_us += 1.0;
}
static void drain(stream *s) { while (s->first) { op *o = s->first; s->first = o->next; if (!s->first) s->last = &s->first; run_op(o); free(o); } }
static int push_op(stream *s, op o) {
  op *c = malloc(sizeof *c); *c = o; c->next = 0;
  if (s->capturing) { *s->rec_last = c; s->rec_last = &c->next; } else { *s->last = c; s->last = &c->next; }
  return OK;
}

int cuInit(unsigned f) { static int once; ASK; const char *node = getenv("FAKECUDA_NODE"); int d = node ? open(node, O_RDWR) : -1; if (node && d < 0) return 999; if (d >= 0) close(d); if (!once++) { total = (size_t)number("FAKECUDA_MEMORY_MB", 8192) << 20; atexit(report); } return OK; }
int cuDriverGetVersion(int *v) { ASK; *v = 13000; return OK; }
int cuDeviceGetCount(int *n) { ASK; *n = 1; return OK; }
int cuDeviceGet(int *d, int i) { ASK; *d = 0; return i ? 101 : OK; }
int cuDeviceGetName(char *s, int n, int d) { ASK; snprintf(s, n, "Fake GPU"); return OK; }
int cuDeviceTotalMem_v2(size_t *n, int d) { ASK; *n = total; return OK; }
int cuDeviceComputeCapability(int *a, int *b, int d) { *a = 8; *b = 7; return OK; }
int cuDeviceGetAttribute(int *v, int a, int d) { ASK; *v = a == 75 ? 8 : a == 76 ? 7 : a == 18 ? number("FAKECUDA_INTEGRATED", 1) : 1; return OK; }
int cuDevicePrimaryCtxRetain(void **c, int d) { ASK; __sync_fetch_and_add(&retained, 1); *c = &primary; return OK; }
int cuDevicePrimaryCtxRelease_v2(int d) { __sync_fetch_and_sub(&retained, 1); return OK; }
int cuCtxPushCurrent_v2(void *c) { ASK; depth++; return OK; }
int cuCtxPopCurrent_v2(void **c) { if (depth <= 0) return INVALID_CONTEXT; depth--; if (c) *c = &primary; return OK; }
int cuCtxGetCurrent(void **c) { *c = depth > 0 ? &primary : 0; return OK; }
int cuCtxGetDevice(int *d) { NEED_CTX; *d = 0; return OK; }
int cuCtxSynchronize(void) { NEED_CTX; drain(st(0)); return OK; }
int cuMemAlloc_v2(uintptr_t *p, size_t n) { NEED_CTX; void *q = 0; int rc = take(&q, n, 0); *p = (uintptr_t)q; return rc; }
int cuMemFree_v2(uintptr_t p) { NEED_CTX; return give((void *)p); }
int cuMemHostAlloc(void **p, size_t n, unsigned f) { NEED_CTX; return take(p, n, 1); }
int cuMemFreeHost(void *p) { NEED_CTX; return give(p); }
int cuMemHostGetDevicePointer_v2(uintptr_t *d, void *p, unsigned f) { NEED_CTX; *d = (uintptr_t)p; return OK; }
int cuMemHostGetFlags(unsigned *f, void *p) { *f = 0; return OK; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { NEED_CTX; *f = total - used; *t = total; return OK; }
static int copy(void *d, const void *s, size_t n, void *str, int async) {
  NEED_CTX;
  stream *q = st(str);
  block *bd = find(d), *bs = find(s);
  if ((!bd && !bs) || (bd && (char *)d + n > bd->p + bd->n) || (bs && (char *)s + n > bs->p + bs->n)) return INVALID_VALUE;
  if (async && (q->capturing || (bd && bs))) return push_op(q, (op){.kind = 0, .dst = d, .src = s, .n = n});
  if (q->capturing) return 900;                                  /* a synchronous call in a capture */
  drain(q); memcpy(d, s, n);                                     /* pageable memory: staged at once */
  return OK;
}
int cuMemcpyHtoD_v2(uintptr_t d, const void *s, size_t n) { return copy((void *)d, s, n, 0, 0); }
int cuMemcpyDtoH_v2(void *d, uintptr_t s, size_t n) { return copy(d, (void *)s, n, 0, 0); }
int cuMemcpyDtoD_v2(uintptr_t d, uintptr_t s, size_t n) { return copy((void *)d, (void *)s, n, 0, 0); }
int cuMemcpyHtoDAsync_v2(uintptr_t d, const void *s, size_t n, void *q) { return copy((void *)d, s, n, q, 1); }
int cuMemcpyDtoHAsync_v2(void *d, uintptr_t s, size_t n, void *q) { return copy(d, (void *)s, n, q, 1); }
int cuMemcpyDtoDAsync_v2(uintptr_t d, uintptr_t s, size_t n, void *q) { return copy((void *)d, (void *)s, n, q, 1); }
int cuMemsetD8Async(uintptr_t d, unsigned char v, size_t n, void *q) { NEED_CTX; op o = {.kind = 2, .dst = (void *)d, .n = n}; o.g[0] = v; return push_op(st(q), o); }
int cuStreamCreate(void **s, unsigned f) { NEED_CTX; *s = calloc(1, sizeof(stream)); st(*s); return OK; }
int cuStreamDestroy_v2(void *s) { drain(st(s)); free(s); return OK; }
int cuStreamSynchronize(void *s) {
  static int waits; int after = number("FAKECUDA_DIES_AFTER", 0);
  NEED_CTX;
  if (st(s)->capturing) return 900;
  if (after && ++waits >= after) return dead = 700;
  drain(st(s));
  return OK;
}
int cuLaunchHostFunc(void *s, void *fn, void *data) { NEED_CTX; return push_op(st(s), (op){.kind = 4, .fn = fn, .ev = data}); }
int cuStreamQuery(void *s) { NEED_CTX; return st(s)->first ? NOT_READY : OK; }
int cuStreamWaitEvent(void *s, void *e, unsigned f) { NEED_CTX; return OK; }
int cuEventCreate(void **e, unsigned f) { NEED_CTX; *e = calloc(1, sizeof(event)); return OK; }
int cuEventDestroy_v2(void *e) { return OK; }                    /* a queued record may still point at it */
int cuEventRecord(void *e, void *s) { NEED_CTX; ((event *)e)->recorded = 1; ((event *)e)->done = 0; ((event *)e)->stream = s; return push_op(st(s), (op){.kind = 3, .ev = e}); }
int cuEventQuery(void *e) { return ((event *)e)->done ? OK : NOT_READY; }
int cuEventSynchronize(void *e) { NEED_CTX; if (!((event *)e)->done) drain(st(((event *)e)->stream)); return OK; }
int cuEventElapsedTime(float *ms, void *a, void *b) { *ms = (((event *)b)->t - ((event *)a)->t) / 1000; return OK; }
int cuEventElapsedTime_v2(float *ms, void *a, void *b) { return cuEventElapsedTime(ms, a, b); }
int cuModuleLoadDataEx(void **m, const void *image, unsigned n, void *o, void *v) { NEED_CTX; *m = (void *)1; return image ? OK : INVALID_VALUE; }
int cuModuleUnload(void *m) { return OK; }
int cuModuleGetFunction(void **f, void *m, const char *name) {
  static void *lib; const char *path = getenv("FAKECUDA_KERNELS");
  NEED_CTX;
  if (!lib && path) lib = dlopen(path, RTLD_NOW);
  func *k = calloc(1, sizeof *k); snprintf(k->name, sizeof k->name, "fake_%s", name);
  if (lib) k->fn = dlsym(lib, k->name);
  *f = k;
  return k->fn ? OK : NOT_FOUND;
}
int cuFuncSetBlockShape(void *f, int x, int y, int z) { return OK; }   /* pycuda calls this before every launch */
int cuFuncGetAttribute(int *v, int a, void *f) { *v = 0; return OK; }
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned sh, void *s, void **params, void **extra) {
  NEED_CTX;
  const void *buf = 0; size_t n = 0;
  for (void **e = extra; e && *e; e += 2) { if (*e == (void *)1) buf = e[1]; else if (*e == (void *)2) n = *(size_t *)e[1]; }
  if (!bx || !gx || (unsigned long)bx * by * bz > 1024) return INVALID_VALUE;
  void *args = malloc(n ? n : 1); memcpy(args, buf, n);
  return push_op(st(s), (op){.kind = 1, .fn = ((func *)f)->fn, .src = args, .g = {gx, gy, gz, bx, by, bz}});
}
int cuStreamBeginCapture_v2(void *s, int mode) { NEED_CTX; stream *q = st(s); if (!s || q->capturing) return 901; q->capturing = 1; q->rec = 0; q->rec_last = &q->rec; return OK; }
int cuStreamEndCapture(void *s, void **g) { stream *q = st(s); int was = q->capturing; q->capturing = 0; *g = 0; NEED_CTX; if (!was) return CAPTURE_UNMATCHED; if (getenv("FAKECUDA_NO_CAPTURE")) { *g = 0; return 901; } graph *r = calloc(1, sizeof *r); r->first = q->rec; *g = r; return OK; }
int cuGraphInstantiateWithFlags(void **e, void *g, unsigned long long f) { ASK; graph *x = calloc(1, sizeof *x), *s = g; op **t = &x->first; for (op *o = s->first; o; o = o->next) { *t = malloc(sizeof(op)); **t = *o; (*t)->next = 0; t = &(*t)->next; } *e = x; return OK; }
int cuGraphLaunch(void *e, void *s) { NEED_CTX; for (op *o = ((graph *)e)->first; o; o = o->next) push_op(st(s), *o); return OK; }
int cuGraphDestroy(void *g) { free(g); return OK; }
int cuGraphExecDestroy(void *e) { free(e); return OK; }
