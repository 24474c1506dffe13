//go:build !race

package upstream

import (
	"syscall"
	"unsafe"
)

// sysRead is read(2) on a descriptor that does not block.
func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, no := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), no
}

// sysWrite is writev(2) on a descriptor that does not block.
func sysWrite(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	n, _, no := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return int(n), no
}
