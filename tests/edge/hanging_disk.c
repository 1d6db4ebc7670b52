/* LD_PRELOAD: a disk that hangs. While the file that HANGING_SWITCH names exists, every call that changes, makes or reads a
   file below the folder HANGING_DISK waits, as on a network disk whose server is gone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

static void wait_for(const char* path) {
  const char *disk = getenv("HANGING_DISK"), *holds = getenv("HANGING_SWITCH");
  if (!disk || !holds || !path || strncmp(path, disk, strlen(disk))) return;
  while (!access(holds, F_OK)) usleep(20000);
}

static void wait_for_file(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  wait_for(path);
}

#define NEXT(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                            \
  int name(const char* path, int flags, ...) {                \
    va_list rest;                                             \
    va_start(rest, flags);                                    \
    const int mode = va_arg(rest, int);                       \
    va_end(rest);                                             \
    wait_for(path);                                           \
    return NEXT(int, name, const char*, int, ...)(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                           \
  FILE* name(const char* path, const char* mode) {            \
    wait_for(path);                                           \
    return NEXT(FILE*, name, const char*, const char*)(path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define ON_FILE(name)                                         \
  int name(int file) {                                        \
    wait_for_file(file);                                      \
    return NEXT(int, name, int)(file);                        \
  }
ON_FILE(fsync)
ON_FILE(fdatasync)

ssize_t write(int file, const void* content, size_t size) {
  wait_for_file(file);
  return NEXT(ssize_t, write, int, const void*, size_t)(file, content, size);
}

int rename(const char* from, const char* to) {
  wait_for(to);
  return NEXT(int, rename, const char*, const char*)(from, to);
}

int mkdir(const char* path, mode_t mode) {
  wait_for(path);
  return NEXT(int, mkdir, const char*, mode_t)(path, mode);
}

#define LOOK(name)                                            \
  int name(const char* path, struct stat* told) {             \
    wait_for(path);                                           \
    return NEXT(int, name, const char*, struct stat*)(path, told); \
  }
LOOK(stat)
LOOK(lstat)

int flock(int file, int how) {
  wait_for_file(file);
  return NEXT(int, flock, int, int)(file, how);
}

int unlink(const char* path) {
  wait_for(path);
  return NEXT(int, unlink, const char*)(path);
}

int statvfs(const char* path, struct statvfs* told) {
  wait_for(path);
  return NEXT(int, statvfs, const char*, struct statvfs*)(path, told);
}
