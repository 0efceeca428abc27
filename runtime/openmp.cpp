// Finding the OpenMP library of the process. Two pools that spin on the same cores halve the speed of both,
// so kernels run in the pool that torch uses whenever torch is loaded.
#include "team.h"
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <memory>

namespace pith {
namespace {

struct Candidates {
  char torch[512] = "";  // libtorch_cpu: its dependencies tell which OpenMP library it is bound to
  char openmp[512] = ""; // the first library that is an OpenMP runtime by its name
};

const char *baseName(const char *path) {
  const char *slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

void remember(char (&slot)[512], const char *path) {
  if (!slot[0] && std::strlen(path) < sizeof slot)
    std::strcpy(slot, path);
}

int collect(dl_phdr_info *info, std::size_t, void *data) {
  auto &found = *static_cast<Candidates *>(data);
  const char *base = baseName(info->dlpi_name);
  if (std::strncmp(base, "libtorch_cpu.", 13) == 0)
    remember(found.torch, info->dlpi_name);
  for (const char *prefix : {"libgomp", "libiomp5", "libomp."})
    if (std::strncmp(base, prefix, std::strlen(prefix)) == 0)
      remember(found.openmp, info->dlpi_name);
  return 0;
}

int readAdds(dl_phdr_info *info, std::size_t, void *data) {
  *static_cast<unsigned long long *>(data) = info->dlpi_adds;
  return 1;
}

/// libgomp's interface; LLVM's and Intel's libraries export it as well.
bool bind(void *scope, OpenMP &openmp) {
  auto resolve = [&](auto &slot, const char *name) {
    slot = reinterpret_cast<std::decay_t<decltype(slot)>>(dlsym(scope, name));
    return slot != nullptr;
  };
  bool complete = resolve(openmp.parallel, "GOMP_parallel") && resolve(openmp.threadNum, "omp_get_thread_num") &&
                  resolve(openmp.numThreads, "omp_get_num_threads") &&
                  resolve(openmp.maxThreads, "omp_get_max_threads");
  Dl_info info;
  if (complete && dladdr(reinterpret_cast<void *>(openmp.parallel), &info) && info.dli_fname)
    remember(openmp.path, info.dli_fname);
  return complete;
}

bool bindLibrary(const char *path, OpenMP &openmp) {
  void *handle = path[0] ? dlopen(path, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
  if (!handle)
    return false;
  if (bind(handle, openmp))
    return true; // keeps the reference: the library must not go away under the pool
  dlclose(handle);
  return false;
}

/// The order in which the dynamic linker resolves torch's own calls: the global scope, then its dependencies.
std::unique_ptr<OpenMP> lookUp() {
  Candidates found;
  dl_iterate_phdr(collect, &found);
  if (!found.torch[0] && !found.openmp[0])
    return nullptr;
  auto openmp = std::make_unique<OpenMP>();
  if (bind(RTLD_DEFAULT, *openmp) || bindLibrary(found.torch, *openmp) || bindLibrary(found.openmp, *openmp))
    return openmp;
  return nullptr;
}

} // namespace

const OpenMP *findOpenMP() {
  static std::mutex mutex;
  static std::atomic<unsigned long long> checkedAdds{0};
  static std::atomic<const OpenMP *> current{nullptr};
  unsigned long long adds = 0;
  dl_iterate_phdr(readAdds, &adds);
  if (adds == checkedAdds.load(std::memory_order_acquire))
    return current.load(std::memory_order_relaxed);
  std::lock_guard<std::mutex> lock(mutex);
  const OpenMP *known = current.load(std::memory_order_relaxed);
  auto openmp = lookUp();
  if (openmp && !(known && known->parallel == openmp->parallel))
    current.store(openmp.release(), std::memory_order_relaxed); // never freed: regions may be running in it
  checkedAdds.store(adds, std::memory_order_release);
  return current.load(std::memory_order_relaxed);
}

} // namespace pith
