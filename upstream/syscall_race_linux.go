//go:build race

package upstream

import (
	"syscall"
	"unsafe"
)

// Under the race detector the calls are those of package syscall, which tell
// it that what was done before a write happened before what is done after the
// read at the other end. Tests of a whole program in one process rely on that.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return n, errno(err)
}

func sysWrite(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), unsafe.Slice(v[0].Base, v[0].Len))
	return n, errno(err)
}

func errno(err error) syscall.Errno {
	no, _ := err.(syscall.Errno)
	return no
}
