// A CUDA driver without a GPU, for the real cuda-bindings to load: device memory is host memory, kernels do nothing.
// STUB_FAIL=NAME makes the function cu<NAME> fail with STUB_STATUS.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Status;
static const uintptr_t kContext = 0x1000;
static __thread uintptr_t current = 0;
static long launches = 0, live = 0;

static Status fails(const char *name) {
  const char *wanted = getenv("STUB_FAIL");
  return wanted && !strcmp(wanted, name) ? atoi(getenv("STUB_STATUS")) : 0;
}
#define FAILS(name)                                                                                                   \
  do {                                                                                                                 \
    Status status = fails(name);                                                                                       \
    if (status)                                                                                                        \
      return status;                                                                                                   \
  } while (0)

// What the tests ask the library itself, through ctypes.
long stub_launches(void) { return launches; }
long stub_live(void) { return live; }

static Status init(unsigned flags) { return fails("Init"); }
static Status version(int *v) { return *v = 13000, 0; }
static Status count(int *n) { return *n = 1, 0; }
static Status device(int *d, int ordinal) { return *d = ordinal, 0; }
static Status name(char *n, int length, int d) { return snprintf(n, length, "Stub"), 0; }
static Status memory(size_t *n, int d) { return *n = (size_t)1 << 33, 0; }
static Status attribute(int *v, int a, int d) {
  // CU_DEVICE_ATTRIBUTE_: multiprocessors 16, capability 75 and 76, shared memory by opting in 97, memory pools 115.
  *v = a == 16 ? 132 : a == 75 ? 9 : a == 76 ? 0 : a == 97 ? 232448 : a == 115 ? 1 : -1;
  return 0;
}
static Status retain(void **c, int d) { return *c = (void *)kContext, 0; }
static Status get_current(void **c) { return *c = (void *)current, 0; }
static Status set_current(void *c) { return current = (uintptr_t)c, 0; }
static Status allocate(uint64_t *p, size_t n, void *stream) {
  FAILS("MemAllocAsync");
  return live++, *p = (uint64_t)aligned_alloc(256, (n + 255) / 256 * 256), 0;
}
static Status release(uint64_t p, void *stream) { return live--, free((void *)p), 0; }
static uint64_t kept = 0;
long stub_kept(void) { return (long)kept; }
static Status default_pool(void **pool, int d) { return *pool = (void *)0x7000, 0; }
static Status get_pool(void *pool, int a, void *value) { return *(uint64_t *)value = kept, a == 4 ? 0 : 1; }
static Status set_pool(void *pool, int a, void *value) { return kept = *(uint64_t *)value, a == 4 ? 0 : 1; }
static Status upload(uint64_t d, const void *s, size_t n, void *stream) { return memcpy((void *)d, s, n), 0; }
static Status download(void *d, uint64_t s, size_t n) { return memcpy(d, (void *)s, n), 0; }
static Status load(void **m, const void *image, unsigned n, int *options, void **values) {
  Status status = fails("ModuleLoadDataEx");
  for (unsigned i = 0; status && i < n; i++)
    if (options[i] == 5) // CU_JIT_ERROR_LOG_BUFFER
      strcpy(values[i], "ptxas fatal : stub");
  return *m = (void *)0x2000, status;
}
static Status function(void **f, void *m, const char *n) { return *f = (void *)0x3000, 0; }
static Status opt_in(void *f, int a, int value) { return fails("FuncSetAttribute"); }
static Status launch(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                     unsigned shared, void *stream, void **parameters, void **extra) {
  FAILS("LaunchKernel");
  volatile uint8_t byte = **(uint8_t **)parameters[1]; // an aligned pointer to device memory, which must be there
  (void)byte;
  return launches++, current == kContext ? 0 : 201; // CUDA_ERROR_INVALID_CONTEXT
}
// CUlaunchConfig, and cuLaunchKernelEx, which is cuLaunchKernel with what it says.
struct Config {
  unsigned grid[3], block[3], shared;
  void *stream, *attributes;
  unsigned attribute_count;
};
static Status launch_ex(const struct Config *c, void *f, void **parameters, void **extra) {
  if (c->attributes || c->attribute_count)
    return 1; // CUDA_ERROR_INVALID_VALUE
  return launch(f, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream,
                parameters, extra);
}
static Status synchronize(void *s) { return 0; }
static Status make(void **object, unsigned flags) { return *object = (void *)0x4000, 0; }
static Status drop(void *object) { return 0; }
static Status record(void *e, void *s) { return 0; }
static Status wait_event(void *s, void *e, unsigned flags) { return 0; }
static Status begin(void *s, int mode) { return 0; }
static Status end(void *s, void **graph) { return *graph = (void *)0x5000, 0; }
static Status instantiate(void **e, void *graph, unsigned long long flags) { return *e = (void *)0x6000, 0; }
static Status start(void *e, void *s) { return fails("GraphLaunch"); }
static Status pointer(void *value, int a, uint64_t p) { return *(int *)value = 0, 0; }
static Status error_name(int e, const char **text) { return *text = e == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_STUB", 0; }
static Status error_text(int e, const char **text) { return *text = e == 2 ? "out of memory" : "stub", 0; }
Status cuGetProcAddress_v2(const char *symbol, void **entry, int version, uint64_t flags, int *status);
static Status missing(void) { return 801; } // CUDA_ERROR_NOT_SUPPORTED

static const struct {
  const char *name;
  void *entry;
} kEntries[] = {
    {"cuInit", init}, {"cuDriverGetVersion", version}, {"cuDeviceGetCount", count}, {"cuDeviceGet", device},
    {"cuDeviceGetName", name}, {"cuDeviceTotalMem", memory}, {"cuDeviceGetAttribute", attribute},
    {"cuDevicePrimaryCtxRetain", retain}, {"cuCtxGetCurrent", get_current}, {"cuCtxSetCurrent", set_current},
    {"cuMemAllocAsync", allocate}, {"cuMemFreeAsync", release}, {"cuMemcpyHtoDAsync", upload},
    {"cuMemcpyDtoH", download}, {"cuModuleLoadDataEx", load}, {"cuModuleGetFunction", function},
    {"cuFuncSetAttribute", opt_in}, {"cuLaunchKernel", launch}, {"cuStreamSynchronize", synchronize},
    {"cuStreamCreate", make}, {"cuStreamDestroy", drop}, {"cuEventCreate", make}, {"cuEventDestroy", drop},
    {"cuEventRecord", record}, {"cuStreamWaitEvent", wait_event}, {"cuStreamBeginCapture", begin},
    {"cuStreamEndCapture", end}, {"cuGraphInstantiate", instantiate}, {"cuGraphInstantiateWithFlags", instantiate},
    {"cuGraphLaunch", start}, {"cuGraphExecDestroy", drop}, {"cuGraphDestroy", drop},
    {"cuDeviceGetDefaultMemPool", default_pool}, {"cuMemPoolGetAttribute", get_pool},
    {"cuMemPoolSetAttribute", set_pool}, {"cuPointerGetAttribute", pointer}, {"cuGetErrorName", error_name}, {"cuGetErrorString", error_text},
    {"cuLaunchKernelEx", launch_ex}, {"cuGetProcAddress", cuGetProcAddress_v2},
};

static void *entry_of(const char *symbol) {
  for (size_t i = 0; i < sizeof kEntries / sizeof *kEntries; i++)
    if (!strcmp(symbol, kEntries[i].name))
      return kEntries[i].entry;
  return missing;
}

Status cuGetProcAddress_v2(const char *symbol, void **entry, int version, uint64_t flags, int *status) {
  if (status)
    *status = 0;
  return *entry = entry_of(symbol), 0;
}

Status cuGetProcAddress(const char *symbol, void **entry, int version, uint64_t flags) {
  return cuGetProcAddress_v2(symbol, entry, version, flags, NULL);
}
