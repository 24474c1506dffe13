//go:build !race

package upstream

import (
	"syscall"
	"unsafe"
)

// sysRead is recv(2) on a descriptor that does not block. It does what read(2)
// does without the detour through the file system's layer.
func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, no := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), no
}

// sysWrite is send(2), or writev(2) of several vectors, on a descriptor that
// does not block.
func sysWrite(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	if len(v) == 1 {
		n, _, no := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(v[0].Base)), uintptr(v[0].Len), syscall.MSG_NOSIGNAL, 0, 0)
		return int(n), no
	}
	n, _, no := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return int(n), no
}
