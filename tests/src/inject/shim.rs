//! A library that is put before the C library of a process and makes its disk fail.

use super::{absent, run};
use std::path::{Path, PathBuf};

/// With `SHIM_FSYNC` every fsync fails with an input/output error; with `SHIM_BYTES=N` regular files take N bytes in all, then
/// the disk is full.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static long written;
static int full(int fd, size_t n) {
    struct stat about;
    const char *most = getenv("SHIM_BYTES");
    if (!most || fd < 3 || fstat(fd, &about) || !S_ISREG(about.st_mode)) return 0;
    return __atomic_add_fetch(&written, n, __ATOMIC_RELAXED) > atol(most);
}
ssize_t write(int fd, const void *from, size_t n) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "write");
    if (full(fd, n)) { errno = ENOSPC; return -1; }
    return next(fd, from, n);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
    if (full(fd, n)) { errno = ENOSPC; return -1; }
    return next(fd, from, n, at);
}
int fsync(int fd) {
    static int (*next)(int);
    if (!next) next = dlsym(RTLD_NEXT, "fsync");
    if (getenv("SHIM_FSYNC")) { errno = EIO; return -1; }
    return next(fd);
}
"#;

/// Compiles the library into a folder, for `LD_PRELOAD`. Nothing, and a word why, if there is no compiler.
pub fn shim(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    std::fs::write(&source, SOURCE).ok()?;
    let (from, to) = (source.display().to_string(), library.display().to_string());
    if run(&["cc", "-shared", "-fPIC", "-O1", "-o", &to, &from, "-ldl"]) {
        return Some(library);
    }
    absent("there is no C compiler");
    None
}
